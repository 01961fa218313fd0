#include "config/port_owner.h"

#include "config/address.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a
#define INODES_MAX   16

struct inodes {
	unsigned long inode[INODES_MAX];
	size_t n;
};

/* Lines of /proc/net/tcp: "0: 00000000:1F90 00000000:0000 0A …", the inode is the tenth field. */
static void read_table(const char *path, uint16_t port, struct inodes *inodes)
{
	FILE *table = fopen(path, "re");
	char line[512];
	if (table == NULL)
		return;
	while (inodes->n < INODES_MAX && fgets(line, sizeof line, table) != NULL) {
		unsigned local_port, state;
		unsigned long inode;
		int n = sscanf(line,
			" %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
			&local_port, &state, &inode);
		if (n == 3 && local_port == port && state == STATE_LISTEN && inode != 0)
			inodes->inode[inodes->n++] = inode;
	}
	(void)fclose(table);
}

/* Lines of /proc/net/unix: "NUM REFS PROTOCOL FLAGS TYPE STATE INODE PATH". */
static void read_unix_table(const char *path, struct inodes *inodes)
{
	FILE *table = fopen("/proc/net/unix", "re");
	char line[512], found[256];
	if (table == NULL)
		return;
	while (inodes->n < INODES_MAX && fgets(line, sizeof line, table) != NULL) {
		unsigned long inode;
		int n = sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %255[^\n]", &inode, found);
		if (n == 2 && strcmp(found, path) == 0)
			inodes->inode[inodes->n++] = inode;
	}
	(void)fclose(table);
}

static bool is_one(const struct inodes *inodes, const char *link)
{
	unsigned long inode;
	if (sscanf(link, "socket:[%lu]", &inode) != 1)
		return false;
	for (size_t i = 0; i < inodes->n; i++) {
		if (inodes->inode[i] == inode)
			return true;
	}
	return false;
}

/* Whether the process @pid (text) holds one of the sockets. */
static bool holds(const char *pid, const struct inodes *inodes)
{
	char path[64], link[64];
	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	DIR *folder = opendir(path);
	bool is_found = false;
	if (folder == NULL)
		return false;
	/* cppcheck-suppress readdirCalled ; the stream is ours alone */
	for (struct dirent *e = readdir(folder); e != NULL && !is_found; e = readdir(folder)) {
		ssize_t len = readlinkat(dirfd(folder), e->d_name, link, sizeof link - 1);
		if (len <= 0)
			continue;
		link[len] = '\0';
		is_found = is_one(inodes, link);
	}
	closedir(folder);
	return is_found;
}

static void read_name(const char *pid, char *name, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	FILE *file = fopen(path, "re");
	name[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(name, (int)size, file) == NULL)
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	(void)fclose(file);
}

bool port_owner_find(const struct addr *addr, char *name, size_t size, long *ret_pid)
{
	struct inodes inodes = { .n = 0 };
	bool is_found = false;
	if (addr->kind == ADDR_UNIX) {
		read_unix_table(addr->name, &inodes);
	} else {
		read_table("/proc/net/tcp", addr->port, &inodes);
		read_table("/proc/net/tcp6", addr->port, &inodes);
	}
	DIR *folder = inodes.n > 0 ? opendir("/proc") : NULL;
	if (folder == NULL)
		return false;
	/* cppcheck-suppress readdirCalled ; the stream is ours alone */
	for (struct dirent *e = readdir(folder); e != NULL && !is_found; e = readdir(folder)) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);
		if (*end != '\0' || pid <= 0 || pid == (long)getpid() || !holds(e->d_name, &inodes))
			continue;
		read_name(e->d_name, name, size);
		*ret_pid = pid;
		is_found = true;
	}
	closedir(folder);
	return is_found;
}

static void explain_systemd(
	FILE *out, const struct addr *addr, const struct systemd_sockets *passed, int error)
{
	char names[512];
	if (error == -ENOENT)
		fprintf(out, "systemd passed no socket named \"%s\"; it passed: %s\n", addr->name,
			systemd_print_names(passed, names, sizeof names));
	else
		fprintf(out, "%s\n", err_text(error));
}

static void explain_unix(FILE *out, const struct addr *addr, int error)
{
	char name[32];
	long pid;
	if (error == -EADDRINUSE && port_owner_find(addr, name, sizeof name, &pid))
		fprintf(out, "address in use by %s (pid %ld)\n", name, pid);
	else if (error == -EADDRINUSE)
		fprintf(out, "address in use\n");
	else if (error == -EEXIST)
		fprintf(out, "something that is no socket is there already\n");
	else if (error == -EACCES)
		fprintf(out, "permission denied; hint: its folder must be writable for us\n");
	else if (error == -ENOENT)
		fprintf(out, "there is no such folder\n");
	else
		fprintf(out, "%s\n", err_text(error));
}

void port_owner_explain(FILE *out, const char *program, const struct addr *addr,
	const struct systemd_sockets *passed, int error)
{
	char text[ADDR_TEXT_MAX], name[32], by[80] = "";
	long pid;
	fprintf(out, "%s: cannot listen on %s: ", program, address_print(addr, text));
	if (addr->kind == ADDR_STDIO) {
		fprintf(out, "it is one connection of access, with no other listener, and one "
			     "worker\n");
		return;
	}
	if (addr->kind == ADDR_SYSTEMD) {
		explain_systemd(out, addr, passed, error);
		return;
	}
	if (addr->kind == ADDR_UNIX) {
		explain_unix(out, addr, error);
		return;
	}
	if (error == -EADDRINUSE) {
		if (port_owner_find(addr, name, sizeof name, &pid))
			snprintf(by, sizeof by, " by %s (pid %ld)", name, pid);
		fprintf(out, "address in use%s; hint: ss -ltnp 'sport = :%u'\n", by, addr->port);
	} else if (error == -EACCES) {
		fprintf(out,
			"permission denied; hint: ports below 1024 need CAP_NET_BIND_SERVICE (the "
			"shipped unit grants it)\n");
	} else if (error == -EADDRNOTAVAIL) {
		fprintf(out, "this host has no such address; hint: ip address\n");
	} else {
		fprintf(out, "%s\n", err_text(error));
	}
}

void port_owner_explain_tproxy(FILE *out, const char *program, int i)
{
	fprintf(out,
		"%s: /listen/%d: tproxy needs CAP_NET_ADMIN; hint: use access-tproxy.service, and "
		"'access tproxy-rules' prints the firewall rules\n",
		program, i);
}
