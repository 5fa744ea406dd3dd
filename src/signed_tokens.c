#include "src/signed_tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proto/jwt_verifier.h"
#include "tenants/base/log.h"

static int read_file(const char *path, struct buf *ret_text, struct err *ret_err)
{
    char bytes[4096];
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set_errno(ret_err, ERR_IO, errno, "cannot read the keys in %s", path);
    while (ret_text->len <= JWT_KEYS_TEXT_MAX && (got = read(fd, bytes, sizeof(bytes))) > 0)
        buf_append(ret_text, bytes, (size_t)got);
    if (got < 0)
        (void)err_set_errno(ret_err, ERR_IO, errno, "cannot read the keys in %s", path);
    (void)close(fd);
    if (got < 0)
        return -1;
    if (ret_text->len > JWT_KEYS_TEXT_MAX)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "%s: more than %d bytes of keys", path, JWT_KEYS_TEXT_MAX);
    return 0;
}

static int load(struct server *server, struct err *ret_err)
{
    const char *path = server->options->jwt_key_file;
    struct buf text = {0};
    struct err err = ERR_INIT;
    int rc = -1;

    if (path[0] == '\0')
        return 0;
    if (read_file(path, &text, ret_err) == 0) {
        rc = jwt_verifier_set_keys(server->verifier, str_trim(buf_view(&text)), &err);
        if (rc < 0)
            (void)err_set(ret_err, ERR_BAD_REQUEST, "%s: %s", path, err.msg);
        else if (str_trim(buf_view(&text)).len == 0)
            rc = err_set(ret_err, ERR_BAD_REQUEST, "%s: there is no key in it", path);
    }
    buf_fini(&text);
    return rc;
}

static void *run(void *verifier)
{
    jwt_verifier_run(verifier);
    return NULL;
}

int signed_tokens_start(struct server *server, struct err *ret_err)
{
    server->verifier = jwt_verifier_new();
    thread_start(&server->verifier_thread, "jwt", run, server->verifier);
    catalogue_set_verifier(server->catalogue, jwt_verifier_interface(server->verifier));
    return load(server, ret_err);
}

void signed_tokens_reload(struct server *server)
{
    struct err err = ERR_INIT;

    if (load(server, &err) < 0)
        log_error("jwt.keys_refused", "error=\"%s\"", err.msg);
}

void signed_tokens_stop(struct server *server)
{
    if (server->verifier == NULL)
        return;
    jwt_verifier_stop(server->verifier);
    thread_join(server->verifier_thread);
    jwt_verifier_free(server->verifier);
    server->verifier = NULL;
}
