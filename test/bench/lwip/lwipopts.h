/* lwIP as the benchmark measures it: the raw API, windows of 256 KiB, memory in plenty; all else as lwIP has it by default. */
#ifndef BENCH_LWIPOPTS_H
#define BENCH_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_STATS 0
#define LWIP_NOASSERT 1

#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 3
#define TCP_WND (256 * 1024)
#define TCP_SND_BUF (256 * 1024)
#define TCP_SNDLOWAT 16384
#define TCP_SND_QUEUELEN 1024

#define MEM_ALIGNMENT 8
#define MEM_SIZE (8 * 1024 * 1024)
#define MEMP_NUM_TCP_SEG 2048
#define MEMP_NUM_PBUF 1024
#define MEMP_NUM_TCP_PCB 64
#define PBUF_POOL_SIZE 2048
#define PBUF_POOL_BUFSIZE 1536

#endif
