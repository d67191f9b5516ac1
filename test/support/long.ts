/** Whether tests take their time: `ANYSTACK_LONG=1`, or `npm run interop -- --long`. */
export const LONG = Boolean(process.env.ANYSTACK_LONG);
