/** A clock for programs that run in any engine: time passes when it is told to, tasks are done when they are due. */
export interface Task {
  at: number;
  call: (() => void) | null;
}

export class Clock {
  /** ms */
  time = 0;
  private tasks: Task[] = [];

  /** Calls `call` in `delay` ms. */
  after(delay: number, call: () => void): Task {
    const task = { at: this.time + delay, call };
    this.tasks.push(task);
    return task;
  }

  /** Lets `ms` milliseconds pass; `turn` is called in each. */
  pass(ms: number, turn: () => void): void {
    for (const end = this.time + ms; this.time < end; this.time++) {
      turn();
      while (this.due());
    }
  }

  /** Does what is due now; false: nothing was. */
  private due(): boolean {
    const tasks = this.tasks;
    let done = false;
    this.tasks = [];
    for (let i = 0; i < tasks.length; i++) {
      const call = tasks[i].call;
      if (tasks[i].at > this.time) this.tasks.push(tasks[i]);
      else if (call) {
        done = true;
        call();
      }
    }
    return done;
  }
}
