/* The limit: copy bytes both ways and look at none.  cc -O2 relay.c -o relay; ./relay COMMAND [ARGUMENT...] */

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char buffer[65536];

/* Copy what has arrived; return 0 once either side has gone. */
static int copy(int source, int sink)
{
    ssize_t size = read(source, buffer, sizeof buffer);
    for (ssize_t at = 0, written; at < size; at += written)
        if ((written = write(sink, buffer + at, size - at)) < 0)
            return 0;
    return size > 0;
}

int main(int count, char **arguments)
{
    int in[2], out[2];
    if (count < 2 || pipe(in) || pipe(out))
        return 2;
    pid_t upstream = fork();
    if (upstream == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execvp(arguments[1], arguments + 1);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    signal(SIGPIPE, SIG_IGN);
    struct pollfd ends[] = {{.fd = 0, .events = POLLIN}, {.fd = out[0], .events = POLLIN}};
    for (int is_open = 1; is_open && poll(ends, 2, -1) > 0;) {
        if (ends[0].revents)
            is_open = copy(0, in[1]);
        if (is_open && ends[1].revents)
            is_open = copy(out[0], 1);
    }
    kill(upstream, SIGTERM);
    waitpid(upstream, 0, 0);
    return 0;
}
