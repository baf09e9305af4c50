/*
 * A small C client, linked statically with musl (and, for comparison, with
 * glibc): what a program does that knows nothing of proxies or of TLS.
 *
 *   client get HOST PATH     one HTTP/1.1 request to port 80; status and body
 *   client post HOST PATH    the same with POST and a body of "secret"
 *   client resolve NAME      the addresses of getaddrinfo, one a line
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int lookup(const char *host, const char *port, struct addrinfo **found)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	int code = getaddrinfo(host, port, &hints, found);

	if (code != 0)
		fprintf(stderr, "client: %s: %s\n", host, gai_strerror(code));
	return code;
}

static int resolve(const char *host)
{
	struct addrinfo *found;
	char text[INET6_ADDRSTRLEN];

	if (lookup(host, "80", &found) != 0)
		return 1;
	for (struct addrinfo *a = found; a != NULL; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
			puts(text);
	freeaddrinfo(found);
	return 0;
}

static int dial(const char *host)
{
	struct addrinfo *found;
	int fd = -1;

	if (lookup(host, "80", &found) != 0)
		return -1;
	for (struct addrinfo *a = found; a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		fprintf(stderr, "client: connect: %s\n", strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static int request(const char *method, const char *host, const char *path)
{
	const char *body = strcmp(method, "POST") == 0 ? "secret" : "";
	char text[4096];
	ssize_t n;
	int fd = dial(host);

	if (fd < 0)
		return 1;
	n = snprintf(text, sizeof text,
		     "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		     method, path, host, strlen(body), body);
	if (write(fd, text, n) != n)
		return 1;
	while ((n = read(fd, text, sizeof text)) > 0) {
		fwrite(text, 1, n, stdout);
		fflush(stdout);
	}
	close(fd);
	return n < 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "resolve") == 0)
		return resolve(argv[2]);
	if (argc == 4 && strcmp(argv[1], "get") == 0)
		return request("GET", argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "post") == 0)
		return request("POST", argv[2], argv[3]);
	fputs("client: get HOST PATH | post HOST PATH | resolve NAME\n", stderr);
	return 2;
}
