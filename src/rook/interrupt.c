#include "src/rook/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tenants/base/check.h"

static volatile sig_atomic_t pending;
static int wake_pipe[2] = {-1, -1};

static void on_interrupt(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    if (pending)
        _exit(EXIT_INTERRUPTED);
    pending = 1;
    (void)!write(wake_pipe[1], "!", 1);
    errno = saved;
}

void interrupt_init(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    CHECK(pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL); /* no SA_RESTART: reads return EINTR */
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

int interrupt_fd(void)
{
    return wake_pipe[0];
}

bool interrupt_pending(void)
{
    return pending != 0;
}

void interrupt_clear(void)
{
    char byte;

    while (read(wake_pipe[0], &byte, 1) > 0)
        ;
    pending = 0;
}
