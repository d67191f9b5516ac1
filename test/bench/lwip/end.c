/* lwIP's end of the benchmark: an Ethernet interface over the cable, and the workloads over the raw API. */
#include <string.h>
#include <time.h>
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"
#include "end.h"

#define PORT 5001
/* Bytes written at once in tcp-bulk. */
#define CHUNK 16384

enum { BULK, RR, UDP, CONNECT };

static struct netif netif;
static int self;
static int mode;
static int running;
static unsigned long counter;
static struct tcp_pcb *stream;
static struct udp_pcb *datagrams;
static size_t datagram_size;
static char bytes[CHUNK];

u32_t sys_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (u32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* The interface */

static err_t transmit(struct netif *nif, struct pbuf *p) {
  (void)nif;
  cable_begin(self, p->tot_len);
  for (; p; p = p->next) cable_piece(p->payload, p->len);
  cable_end();
  return ERR_OK;
}

static err_t attach(struct netif *nif) {
  nif->name[0] = 'c';
  nif->name[1] = 'b';
  nif->mtu = 1500;
  nif->hwaddr_len = 6;
  memcpy(nif->hwaddr, "\2\0\0\0\0", 5);
  nif->hwaddr[5] = (u8_t)self;
  nif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
  nif->output = etharp_output;
  nif->linkoutput = transmit;
  return ERR_OK;
}

static void address(ip4_addr_t *ip, int host) { IP4_ADDR(ip, 10, 0, 0, host); }

static void boot(int number) {
  ip4_addr_t ip, mask, gateway;
  self = number;
  lwip_init();
  address(&ip, number);
  IP4_ADDR(&mask, 255, 255, 255, 0);
  IP4_ADDR(&gateway, 0, 0, 0, 0);
  netif_add(&netif, &ip, &mask, &gateway, NULL, attach, ethernet_input);
  netif_set_default(&netif);
}

static void up(void) { netif_set_up(&netif); }

static void *receive(size_t length, void **payload) {
  struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_POOL);
  if (!p || p->next) { fprintf(stderr, "no frame memory for %zu bytes\n", length); abort(); }
  *payload = p->payload;
  return p;
}

static void input(void *frame) {
  if (netif.input(frame, &netif) != ERR_OK) pbuf_free(frame);
}

/* Servers: TCP to PORT takes and counts (tcp-bulk, tcp-connect), to PORT + 1 echoes; UDP to PORT echoes. */

static err_t take(void *argument, struct tcp_pcb *pcb, struct pbuf *p, err_t error) {
  (void)argument, (void)error;
  if (!p) {
    counter++;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    return tcp_close(pcb);
  }
  counter += p->tot_len;
  tcp_recved(pcb, p->tot_len);
  pbuf_free(p);
  return ERR_OK;
}

static err_t echo(void *argument, struct tcp_pcb *pcb, struct pbuf *p, err_t error) {
  char byte[64];
  (void)argument, (void)error;
  if (!p) return tcp_close(pcb);
  u16_t length = pbuf_copy_partial(p, byte, sizeof byte, 0);
  tcp_recved(pcb, p->tot_len);
  pbuf_free(p);
  return tcp_write(pcb, byte, length, TCP_WRITE_FLAG_COPY);
}

static err_t accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
  (void)error;
  tcp_nagle_disable(pcb);
  tcp_recv(pcb, (tcp_recv_fn)argument);
  return ERR_OK;
}

static void echo_datagram(void *argument, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port) {
  (void)argument;
  udp_sendto(pcb, p, from, port);
  pbuf_free(p);
}

static void listen_at(u16_t port, tcp_recv_fn receiver) {
  struct tcp_pcb *pcb = tcp_new();
  tcp_bind(pcb, IP_ADDR_ANY, port);
  pcb = tcp_listen(pcb);
  tcp_arg(pcb, (void *)receiver);
  tcp_accept(pcb, accepted);
}

static void serve(void) {
  struct udp_pcb *pcb = udp_new();
  listen_at(PORT, take);
  listen_at(PORT + 1, echo);
  udp_bind(pcb, IP_ADDR_ANY, PORT);
  udp_recv(pcb, echo_datagram, NULL);
}

/* Clients */

static err_t fill(void *argument, struct tcp_pcb *pcb, u16_t acknowledged) {
  (void)argument, (void)acknowledged;
  while (running && tcp_sndbuf(pcb) >= CHUNK && tcp_write(pcb, bytes, CHUNK, TCP_WRITE_FLAG_COPY) == ERR_OK);
  return tcp_output(pcb);
}

static err_t answered(void *argument, struct tcp_pcb *pcb, struct pbuf *p, err_t error) {
  char byte[64];
  (void)argument, (void)error;
  if (!p) return ERR_OK;
  u16_t length = pbuf_copy_partial(p, byte, sizeof byte, 0);
  tcp_recved(pcb, p->tot_len);
  pbuf_free(p);
  counter++;
  return running ? tcp_write(pcb, byte, length, TCP_WRITE_FLAG_COPY) : ERR_OK;
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
  (void)argument, (void)error;
  if (mode == CONNECT) return tcp_close(pcb);
  tcp_nagle_disable(pcb);
  if (mode == BULK) {
    tcp_sent(pcb, fill);
    return fill(NULL, pcb, 0);
  }
  return tcp_write(pcb, bytes, 1, TCP_WRITE_FLAG_COPY);
}

static void send_datagram(void) {
  struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)datagram_size, PBUF_RAM);
  memcpy(p->payload, bytes, datagram_size);
  udp_send(datagrams, p);
  pbuf_free(p);
}

static void datagram_back(void *argument, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port) {
  (void)argument, (void)pcb, (void)from, (void)port;
  memcpy(bytes, p->payload, p->len);
  pbuf_free(p);
  counter++;
  if (running) send_datagram();
}

static void open_stream(u16_t port) {
  ip_addr_t server;
  address(ip_2_ip4(&server), 2);
  stream = tcp_new();
  tcp_recv(stream, answered);
  if (tcp_connect(stream, &server, port, connected) != ERR_OK) abort();
}

static void next(void) {
  if (mode == CONNECT && running) open_stream(PORT);
}

static int begin(const char *work) {
  running = 1;
  if (strcmp(work, "tcp-bulk") == 0) mode = BULK, open_stream(PORT);
  else if (strcmp(work, "tcp-rr") == 0) mode = RR, open_stream(PORT + 1);
  else if (strcmp(work, "tcp-connect") == 0) mode = CONNECT;
  else if (strncmp(work, "udp-echo-", 9) == 0) {
    ip_addr_t server;
    mode = UDP;
    datagram_size = (size_t)atoi(work + 9);
    address(ip_2_ip4(&server), 2);
    datagrams = udp_new();
    udp_connect(datagrams, &server, PORT);
    udp_recv(datagrams, datagram_back, NULL);
    send_datagram();
  } else return -1;
  return 0;
}

static void stop(void) {
  running = 0;
  if (mode == UDP) udp_remove(datagrams);
  else if (mode != CONNECT) tcp_close(stream);
}

static unsigned long count(void) { return counter; }

const struct end lwip_end = {boot, up, receive, input, sys_check_timeouts, serve, begin, next, stop, count};
