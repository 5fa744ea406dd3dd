#include "src/rook/edit.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "src/rook/interrupt.h"
#include "src/rook/show.h"
#include "src/rook/text.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"

struct edit {
    EditLine *line;
    History *history;
    char *history_path; /* owned; NULL: none */
    const char *prompt; /* borrowed while a line is read */
    FILE *out;
    edit_complete_fn on_complete;
    void *user;
};

static volatile sig_atomic_t resized;
static volatile sig_atomic_t continued;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        continued = 1;
}

static struct edit *edit_of(EditLine *line)
{
    void *user = NULL;

    (void)el_get(line, EL_CLIENTDATA, &user);
    return user;
}

static char *prompt_of(EditLine *line)
{
    union {
        const char *in;
        char *out; /* libedit only reads it */
    } cast = {.in = edit_of(line)->prompt};

    return cast.out;
}

/* Waits for a byte. 1, 0 at the end, -1 on Ctrl-C. */
static int read_byte(EditLine *line, char *ret_byte)
{
    struct pollfd fds[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};

    for (;;) {
        ssize_t got;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return 0;
        if (interrupt_pending())
            return -1;
        if (resized) {
            resized = 0;
            el_resize(line);
        }
        if (continued) {
            continued = 0;
            (void)el_set(line, EL_PREP_TERM, 1);
            (void)el_set(line, EL_REFRESH);
        }
        if ((fds[0].revents & (POLLIN | POLLHUP)) == 0)
            continue;
        got = read(STDIN_FILENO, ret_byte, 1);
        if (got >= 0)
            return (int)got;
        if (errno != EINTR)
            return 0;
    }
}

/* libedit's own reader swallows the first EINTR; this one stops at Ctrl-C. */
static int read_char(EditLine *line, wchar_t *ret_char)
{
    mbstate_t state = {0};

    for (;;) {
        char byte;
        int got = read_byte(line, &byte);
        size_t len;

        if (got <= 0)
            return got;
        len = mbrtowc(ret_char, &byte, 1, &state);
        if (len == (size_t)-2)
            continue;
        if (len == (size_t)-1) {
            state = (mbstate_t){0}; /* not UTF-8: dropped */
            continue;
        }
        return 1;
    }
}

/* ---- Tab ----------------------------------------------------------------------------------- */

static bool is_word_byte(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80;
}

static size_t common_prefix(const struct buf *names)
{
    size_t first_len = strlen(names->bytes);
    size_t common = first_len;

    for (size_t at = first_len + 1; at < names->len; at += strlen(names->bytes + at) + 1) {
        size_t same = 0;
        while (same < common && names->bytes[at + same] == names->bytes[same])
            same++;
        common = same;
    }
    return common;
}

/* The candidates, in as many columns as fit, below the line. */
static void list_names(const struct edit *edit, const struct buf *names)
{
    size_t room = MAX(show_terminal_columns(edit->out), 40);
    size_t widest = 0;
    size_t used = 0;

    for (size_t at = 0; at < names->len; at += strlen(names->bytes + at) + 1)
        widest = MAX(widest, strlen(names->bytes + at));
    (void)fputc('\n', edit->out);
    for (size_t at = 0; at < names->len; at += strlen(names->bytes + at) + 1) {
        struct buf safe = {0};
        size_t columns = text_escape(&safe, str_from(names->bytes + at), TEXT_ONE_LINE);

        if (used > 0 && used + widest + 2 > room) {
            (void)fputc('\n', edit->out);
            used = 0;
        }
        (void)fprintf(edit->out, "%.*s%*s", STR_ARGS(buf_view(&safe)),
            (int)(widest + 2 - MIN(columns, widest)), "");
        used += widest + 2;
        buf_fini(&safe);
    }
    (void)fputc('\n', edit->out);
}

static unsigned char complete(EditLine *line, int key)
{
    struct edit *edit = edit_of(line);
    const LineInfo *info = el_line(line);
    const char *start = info->cursor;
    struct buf names = {0};
    unsigned char result = CC_REFRESH_BEEP;
    struct str word;
    size_t common;

    (void)key;
    while (start > info->buffer && is_word_byte(start[-1]))
        start--;
    if (start == info->buffer + 1 && start[-1] == '.')
        start--; /* .tables and the like */
    word = str_make(start, (size_t)(info->cursor - start));
    if (word.len > 0)
        edit->on_complete(edit->user, word, &names);
    if (names.len > 0) {
        bool only = strlen(names.bytes) + 1 == names.len;

        common = common_prefix(&names);
        if (common >= word.len && (common > word.len || only)) {
            char *insert = mem_strndup(names.bytes, common);
            el_deletestr(line, (int)word.len);
            (void)el_insertstr(line, insert);
            if (only)
                (void)el_insertstr(line, " ");
            mem_free(insert);
            result = CC_REFRESH;
        } else {
            list_names(edit, &names);
            result = CC_REDISPLAY;
        }
    }
    buf_fini(&names);
    return result;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void open_history(struct edit *edit)
{
    HistEvent event;

    edit->history = history_init();
    CHECK(edit->history != NULL);
    (void)history(edit->history, &event, H_SETSIZE, EDIT_HISTORY_MAX);
    (void)history(edit->history, &event, H_SETUNIQUE, 1);
    if (edit->history_path != NULL)
        (void)history(edit->history, &event, H_LOAD, edit->history_path);
    (void)el_set(edit->line, EL_HIST, history, edit->history);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGWINCH, &action, NULL);
    (void)sigaction(SIGCONT, &action, NULL);
}

struct edit *edit_new(const char *history_path, edit_complete_fn on_complete, void *user)
{
    struct edit *edit = mem_zalloc(sizeof(*edit));

    edit->out = isatty(STDOUT_FILENO) != 0 ? stdout : stderr;
    edit->line = el_init("rook", stdin, edit->out, stderr);
    CHECK(edit->line != NULL);
    edit->on_complete = on_complete;
    edit->user = user;
    edit->history_path = history_path != NULL ? mem_strdup(history_path) : NULL;
    (void)el_set(edit->line, EL_CLIENTDATA, edit);
    (void)el_set(edit->line, EL_PROMPT, prompt_of);
    (void)el_set(edit->line, EL_SIGNAL, 0);
    (void)el_set(edit->line, EL_EDITOR, "emacs");
    (void)el_set(edit->line, EL_GETCFN, read_char);
    /* The wide form: the other one leaks copies of the two texts. */
    (void)el_wset(edit->line, EL_ADDFN, L"rook-complete", L"Complete names", complete);
    (void)el_set(edit->line, EL_BIND, "^I", "rook-complete", NULL);
    (void)el_set(edit->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    open_history(edit);
    (void)el_source(edit->line, NULL); /* ~/.editrc */
    catch_signals();
    return edit;
}

void edit_free(struct edit *edit)
{
    if (edit == NULL)
        return;
    history_end(edit->history);
    el_end(edit->line);
    mem_free(edit->history_path);
    mem_free(edit);
}

enum edit_result edit_line(struct edit *edit, const char *prompt, struct buf *out)
{
    const char *text;
    int count = 0;

    buf_reset(out, 1U << 16);
    edit->prompt = prompt;
    (void)fflush(stdout);
    /* libedit would show the prompt first and leave the line mode after: a Ctrl-D typed in between
     * would be lost. */
    (void)el_set(edit->line, EL_PREP_TERM, 1);
    text = el_gets(edit->line, &count);
    if (text == NULL || count <= 0) {
        bool interrupted = interrupt_pending();
        (void)fputs(interrupted ? "^C\n" : "\n", edit->out);
        interrupt_clear();
        return interrupted ? EDIT_INTERRUPTED : EDIT_END;
    }
    buf_append(out, text, (size_t)count);
    while (out->len > 0 && (out->bytes[out->len - 1] == '\n' || out->bytes[out->len - 1] == '\r'))
        out->len--;
    return EDIT_LINE;
}

void edit_remember(struct edit *edit, const char *text)
{
    HistEvent event;
    mode_t before;

    (void)history(edit->history, &event, H_ENTER, text);
    if (edit->history_path == NULL)
        return;
    /* Whole, each time: the shell may be killed. */
    before = umask(077);
    (void)history(edit->history, &event, H_SAVE, edit->history_path);
    (void)umask(before);
}
