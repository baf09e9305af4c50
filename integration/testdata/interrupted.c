/* Calls that wait, while a timer's signal comes: what each returns, and whether
 * it was run again, must be as the kernel itself has it (signal(7)). */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t hits;
static struct sockaddr_un name = {AF_UNIX, "interrupted.sock"};

static void hit(int sig) { hits++; }

static void arm(void) {
  struct itimerval soon = {{0, 0}, {0, 200000}};
  hits = 0;
  setitimer(ITIMER_REAL, &soon, NULL);
}

static void say(const char *what, int restart, long result, int error) {
  printf("%s%s: %s, %d signal\n", what, restart ? " with SA_RESTART" : "",
         result < 0 ? strerror(error) : result > 100 ? "a part" : "done", (int)hits);
  fflush(stdout);
}

/* later runs do in a child, after longer than the timer takes. */
static pid_t later(void (*act)(int), int fd) {
  pid_t child = fork();
  if (child == 0) {
    usleep(1500000);
    act(fd);
    pause();
  }
  return child;
}

static void take(int fd) { accept(fd, NULL, NULL); }

static void empty(int fd) {
  static char sink[65536];
  for (int i = 0; i < 100; i++) read(fd, sink, sizeof sink);
}

static void finish(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void connects(int restart) {
  unlink(name.sun_path);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (void *)&name, sizeof name) || listen(listener, 0) || connect(first, (void *)&name, sizeof name)) {
    perror("set up");
    exit(1);
  }
  pid_t child = later(take, listener);
  arm();
  long result = connect(fd, (void *)&name, sizeof name);
  say("connect", restart, result, errno);
  finish(child);
}

static void sends(int restart) {
  int pair[2];
  struct iovec much = {calloc(1, 4 << 20), 4 << 20}, little = {much.iov_base, 10};
  struct msghdr message = {.msg_iov = &much, .msg_iovlen = 1};
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  arm();
  long result = sendmsg(pair[0], &message, 0);
  say("sendmsg", restart, result, errno);
  pid_t child = later(empty, pair[1]);
  message.msg_iov = &little;
  arm();
  result = sendmsg(pair[0], &message, 0);
  say("sendmsg to a full socket", restart, result, errno);
  finish(child);
}

enum { SHORT = 100000 };
static struct sockaddr_in place = {AF_INET};

static void deliver(int fd) { sendto(fd, "x", 1, 0, (void *)&place, sizeof place); }

/* receives waits for a datagram, for as long as limit says (0: for ever). One
 * that is shorter than the timer has none. */
static void receives(int restart, long limit) {
  char byte, what[64];
  struct timeval most = {limit / 1000000, limit % 1000000};
  struct sockaddr_in from;
  socklen_t size = sizeof place, length = sizeof from;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  place.sin_port = 0;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, (void *)&place, size) || getsockname(fd, (void *)&place, &size) ||
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most)) {
    perror("set up");
    exit(1);
  }
  pid_t child = later(deliver, socket(AF_INET, SOCK_DGRAM, 0));
  hits = 0;
  if (limit != SHORT) arm();
  long result = recvfrom(fd, &byte, 1, 0, (void *)&from, &length);
  snprintf(what, sizeof what, "recvfrom for %ld ms", limit / 1000);
  say(what, restart, result, errno);
  finish(child);
  close(fd);
}

int main(void) {
  for (int restart = 0; restart < 2; restart++) {
    struct sigaction action = {.sa_handler = hit, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGALRM, &action, NULL);
    connects(restart);
    sends(restart);
    receives(restart, 0);
    receives(restart, SHORT);
    receives(restart, 5000000);
  }
  return 0;
}
