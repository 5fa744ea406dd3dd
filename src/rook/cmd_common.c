#include <fcntl.h>
#include <unistd.h>

#include "src/rook/commands.h"
#include "tenants/base/mem.h"

#define PAGE_SIZE_MAX 1000

int confirm(const struct args *args, const char *question, const char *name)
{
    char line[256];
    ssize_t got;
    int fd;

    if (args_get(args, "yes") != NULL)
        return 0;
    fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || isatty(STDIN_FILENO) == 0) {
        if (fd >= 0)
            (void)close(fd);
        return report(EXIT_USAGE, "%s Add --yes to do it without being asked", question);
    }
    (void)dprintf(fd, "%s\nType %s to go on: ", question, name);
    got = read(fd, line, sizeof(line) - 1);
    (void)close(fd);
    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, name) != 0)
        return report(EXIT_USAGE, "nothing was done");
    return 0;
}

static bool is_plain_json(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0 ||
           (text[0] != '\0' && text[strspn(text, "-0123456789.")] == '\0' &&
               !(text[0] == '0' && text[1] != '\0' && text[1] != '.'));
}

int add_setting(json_t *object, const char *setting)
{
    struct str value = str_from(setting);
    struct str name = str_split(&value, '=');
    json_t *json = NULL;
    char *key;

    if (value.ptr == NULL || name.len == 0)
        return report(EXIT_USAGE, "'%s' is not KEY=VALUE", setting);
    if (is_plain_json(value.ptr))
        json = json_read(value, NULL);
    if (json == NULL)
        json = json_stringn(value.ptr, value.len);
    if (json == NULL)
        return report(EXIT_USAGE, "the value of '%.*s' is not UTF-8", STR_ARGS(name));
    key = mem_strndup(name.ptr, name.len);
    (void)json_object_set_new(object, key, json);
    mem_free(key);
    return 0;
}

int fetch_list(struct client *client, const char *path, int64_t limit, json_t **ret_list)
{
    json_t *list = json_array();
    struct buf next = {0};
    const char *cursor = "";
    int status = 0;

    while (cursor != NULL && status == 0) {
        int64_t left = limit > 0 ? limit - (int64_t)json_array_size(list) : PAGE_SIZE_MAX;
        struct answer answer = {0};

        buf_reset(&next, 4096);
        buf_printf(&next, "%s%cpageSize=%lld", path, strchr(path, '?') != NULL ? '&' : '?',
            (long long)MIN(left, PAGE_SIZE_MAX));
        if (cursor[0] != '\0') {
            buf_literal(&next, "&cursor=");
            http_path_segment(&next, cursor);
        }
        buf_char(&next, '\0');
        status = client_call(client, "GET", next.bytes, NULL, NULL, 0, &answer);
        cursor = NULL;
        if (status == 0 && !json_is_array(answer.data))
            status = report(EXIT_UNREACHABLE, "the server's list is no list");
        if (status == 0 && json_array_size(answer.data) > 0) {
            size_t i;
            json_t *item;
            json_array_foreach(answer.data, i, item)
                (void)json_array_append(list, item);
            cursor = json_text(answer.root, "nextCursor", NULL);
            if (cursor != NULL)
                cursor = arena_cstr(&client->arena, str_from(cursor));
            if (limit > 0 && (int64_t)json_array_size(list) >= limit)
                cursor = NULL;
        }
        answer_fini(&answer);
    }
    buf_fini(&next);
    if (status != 0)
        json_decref(list);
    else
        *ret_list = list;
    return status;
}

int parse_duration(const char *text, int64_t *ret_seconds)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    size_t digits = strspn(text, "0123456789");
    uint64_t number;

    if (str_to_u64(str_make(text, digits), &number) < 0 || number > INT32_MAX)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            *ret_seconds = (int64_t)number * units[i].seconds;
            return 0;
        }
    }
    return -1;
}

int cmd_help(struct client *client, const struct args *args)
{
    struct buf name = {0};
    bool found = true;

    for (size_t i = 0; i < args->word_count; i++)
        buf_printf(&name, "%s%s", i > 0 ? " " : "", args->words[i]);
    buf_char(&name, '\0');
    if (args->word_count == 0)
        command_help_all(client->show.out);
    else
        found = command_help(client->show.out, name.bytes);
    if (!found)
        (void)report(EXIT_USAGE, "there is no command '%s'; see rook --help", name.bytes);
    buf_fini(&name);
    return found ? EXIT_OK : EXIT_USAGE;
}
