/* JSON into the model: values, statements, batches. Token by token: no tree, no copy of a text
 * without escapes. */
#include "proto/hrana/json_decode.h"
#include "tenants/base/base64.h"

#define ITEMS_FIRST 8

/* ---- small pieces ---- */

int json_malformed(struct json_decoder *d)
{
    return err_set(d->err, ERR_INVALID_JSON, "the body is not valid JSON: %s (at byte %zu)",
        d->r.error != NULL ? d->r.error : "unexpected end", d->r.error_offset);
}

int json_wrong(struct json_decoder *d, enum token token, const char *what, const char *wanted)
{
    if (token == TOKEN_INVALID)
        return json_malformed(d);
    return err_set(d->err, ERR_BAD_REQUEST, "%s must be %s", what, wanted);
}

static int no_memory(struct json_decoder *d)
{
    return err_set(d->err, ERR_TOO_LARGE, "the request needs too much memory");
}

/* Passes over the value that begins with `token`. */
static int skip(struct json_decoder *d, enum token token)
{
    unsigned depth = 0;

    for (;; token = json_next(&d->r)) {
        if (token == TOKEN_INVALID)
            return json_malformed(d);
        if (token == TOKEN_OBJECT || token == TOKEN_ARRAY)
            depth++;
        else if (token == TOKEN_OBJECT_END || token == TOKEN_ARRAY_END)
            depth--;
        if (depth == 0 && token != TOKEN_KEY)
            return 0;
    }
}

/* A string or null (ptr NULL). */
int json_read_text(struct json_decoder *d, const char *what, struct str *ret_text)
{
    enum token token = json_next(&d->r);

    if (token == TOKEN_NULL) {
        ret_text->ptr = NULL;
        ret_text->len = 0;
        return 0;
    }
    if (token != TOKEN_STRING)
        return json_wrong(d, token, what, "a string");
    *ret_text = d->r.text;
    if (ret_text->ptr == NULL)
        ret_text->ptr = ""; /* an empty text is there */
    return 0;
}

/* An integer from `min` to `max`; *ret_given false: null. */
int json_read_number(struct json_decoder *d, const char *what, int64_t min, int64_t max,
    int64_t *ret, bool *ret_given)
{
    enum token token = json_next(&d->r);

    *ret_given = token != TOKEN_NULL;
    if (token == TOKEN_NULL)
        return 0;
    if (token != TOKEN_INTEGER || d->r.integer < min || d->r.integer > max)
        return json_wrong(d, token, what, "an integer in its range");
    *ret = d->r.integer;
    return 0;
}

int json_read_id(struct json_decoder *d, const char *what, int32_t *ret_id, bool *ret_given)
{
    int64_t id = 0;

    if (json_read_number(d, what, INT32_MIN, INT32_MAX, &id, ret_given) < 0)
        return -1;
    *ret_id = (int32_t)id;
    return 0;
}

/* Room for one more in an array of `count` items in the arena. */
void *json_grow(
    struct json_decoder *d, void *items, unsigned count, unsigned *capacity, size_t size)
{
    void *larger;

    if (count < *capacity)
        return items;
    *capacity = *capacity == 0 ? ITEMS_FIRST : *capacity * 2;
    larger = arena_array(d->arena, *capacity, size);
    if (larger == NULL) {
        (void)no_memory(d);
        return NULL;
    }
    if (count > 0)
        memcpy(larger, items, count * size);
    return larger;
}

/* Begins a list; false with *ret_rc 0: it was null. */
bool json_begin_list(struct json_decoder *d, const char *what, int *ret_rc)
{
    enum token token = json_next(&d->r);

    *ret_rc = 0;
    if (token == TOKEN_ARRAY)
        return true;
    if (token != TOKEN_NULL)
        *ret_rc = json_wrong(d, token, what, "an array");
    return false;
}

/* The next item, which must be an object: 1; the end: 0. */
int json_next_object(struct json_decoder *d, const char *what)
{
    enum token token = json_next(&d->r);

    if (token == TOKEN_ARRAY_END)
        return 0;
    return token == TOKEN_OBJECT ? 1 : json_wrong(d, token, what, "an object");
}

/* The next key of an object: 1, in d->r.text; its end: 0. */
int json_next_key(struct json_decoder *d)
{
    enum token token = json_next(&d->r);

    if (likely(token == TOKEN_KEY))
        return 1;
    return token == TOKEN_OBJECT_END ? 0 : json_malformed(d);
}

int json_ignore(struct json_decoder *d)
{
    return skip(d, json_next(&d->r));
}

/* ---- values ---- */

static int parse_integer(struct str text, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t magnitude;
    size_t sign = negative || (text.len > 0 && text.ptr[0] == '+') ? 1 : 0;

    if (str_to_u64(str_make(text.ptr + sign, text.len - sign), &magnitude) < 0 ||
        magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return -1;
    *ret_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 0;
}

struct raw_value {
    struct str type;
    enum token token; /* of "value" */
    struct str text;
    double real;
    struct str base64;
};

static int make_blob(struct json_decoder *d, const struct raw_value *raw, struct value *ret_value)
{
    unsigned char *bytes;
    size_t len;

    if (raw->base64.ptr == NULL)
        return err_set(d->err, ERR_BAD_REQUEST, "a blob takes 'base64'");
    bytes = arena_alloc(d->arena, base64_decoded_max(raw->base64.len));
    if (bytes == NULL)
        return no_memory(d);
    if (base64_decode(raw->base64, bytes, &len) < 0)
        return err_set(d->err, ERR_BAD_REQUEST, "a blob's 'base64' is not base64");
    ret_value->type = VALUE_BLOB;
    ret_value->bytes = str_make((const char *)bytes, len);
    return 0;
}

static int make_value(struct json_decoder *d, const struct raw_value *raw, struct value *ret_value)
{
    if (str_is(raw->type, "text")) {
        if (raw->token != TOKEN_STRING)
            return err_set(d->err, ERR_BAD_REQUEST, "a text's 'value' must be a string");
        ret_value->type = VALUE_TEXT;
        ret_value->bytes = raw->text;
    } else if (str_is(raw->type, "integer")) {
        if (raw->token != TOKEN_STRING || parse_integer(raw->text, &ret_value->integer) < 0)
            return err_set(
                d->err, ERR_BAD_REQUEST, "an integer's 'value' must be 64-bit digits in a string");
        ret_value->type = VALUE_INTEGER;
    } else if (str_is(raw->type, "float")) {
        if (raw->token != TOKEN_REAL)
            return err_set(d->err, ERR_BAD_REQUEST, "a float's 'value' must be a number");
        ret_value->type = VALUE_REAL;
        ret_value->real = raw->real;
    } else if (str_is(raw->type, "null")) {
        ret_value->type = VALUE_NULL;
    } else if (str_is(raw->type, "blob")) {
        return make_blob(d, raw, ret_value);
    } else {
        return err_set(
            d->err, ERR_BAD_REQUEST, "a value's 'type' must be null, integer, float, text or blob");
    }
    return 0;
}

/* Behind the brace. */
static int read_value(struct json_decoder *d, struct value *ret_value)
{
    struct raw_value raw = {.token = TOKEN_NULL};
    int more;

    while ((more = json_next_key(d)) > 0) {
        if (str_is(d->r.text, "type")) {
            if (json_read_text(d, "a value's 'type'", &raw.type) < 0)
                return -1;
        } else if (str_is(d->r.text, "value")) {
            raw.token = json_next(&d->r);
            raw.text = d->r.text;
            raw.real = raw.token == TOKEN_INTEGER ? (double)d->r.integer : d->r.real;
            if (raw.token == TOKEN_INTEGER)
                raw.token = TOKEN_REAL;
            else if (raw.token != TOKEN_STRING && raw.token != TOKEN_REAL && skip(d, raw.token) < 0)
                return -1;
        } else if (str_is(d->r.text, "base64")) {
            if (json_read_text(d, "a blob's 'base64'", &raw.base64) < 0)
                return -1;
        } else if (json_ignore(d) < 0) {
            return -1;
        }
    }
    return more < 0 ? -1 : make_value(d, &raw, ret_value);
}

/* ---- statements ---- */

static int read_args(struct json_decoder *d, struct hrana_stmt *stmt)
{
    struct parameter *args = NULL;
    unsigned capacity = 0;
    unsigned count = 0;
    int rc;

    if (!json_begin_list(d, "'args'", &rc))
        return rc;
    while ((rc = json_next_object(d, "a value")) > 0) {
        args = json_grow(d, args, count, &capacity, sizeof(*args));
        if (args == NULL)
            return -1;
        args[count].name = str_make("", 0);
        if (read_value(d, &args[count].value) < 0)
            return -1;
        count++;
    }
    stmt->args = args;
    stmt->arg_count = count;
    return rc;
}

static int read_named_arg(struct json_decoder *d, struct parameter *parameter)
{
    bool has_value = false;
    int more;

    parameter->name.ptr = NULL;
    while ((more = json_next_key(d)) > 0) {
        if (str_is(d->r.text, "name")) {
            if (json_read_text(d, "an argument's 'name'", &parameter->name) < 0)
                return -1;
        } else if (str_is(d->r.text, "value")) {
            enum token token = json_next(&d->r);

            if (token != TOKEN_OBJECT)
                return json_wrong(d, token, "an argument's 'value'", "an object");
            if (read_value(d, &parameter->value) < 0)
                return -1;
            has_value = true;
        } else if (json_ignore(d) < 0) {
            return -1;
        }
    }
    if (more == 0 && (parameter->name.ptr == NULL || !has_value))
        return err_set(d->err, ERR_BAD_REQUEST, "a named argument takes 'name' and 'value'");
    return more;
}

static int read_named_args(struct json_decoder *d, struct hrana_stmt *stmt)
{
    struct parameter *args = NULL;
    unsigned capacity = 0;
    unsigned count = 0;
    int rc;

    if (!json_begin_list(d, "'named_args'", &rc))
        return rc;
    while ((rc = json_next_object(d, "a named argument")) > 0) {
        args = json_grow(d, args, count, &capacity, sizeof(*args));
        if (args == NULL || read_named_arg(d, &args[count]) < 0)
            return -1;
        count++;
    }
    stmt->named_args = args;
    stmt->named_arg_count = count;
    return rc;
}

static int read_flag(struct json_decoder *d, const char *what, bool *ret_flag)
{
    enum token token = json_next(&d->r);

    if (token == TOKEN_TRUE || token == TOKEN_FALSE)
        *ret_flag = token == TOKEN_TRUE;
    else if (token != TOKEN_NULL)
        return json_wrong(d, token, what, "true or false");
    return 0;
}

int json_read_sql_member(struct json_decoder *d, struct hrana_sql *sql, bool *ret_taken)
{
    *ret_taken = true;
    if (str_is(d->r.text, "sql"))
        return json_read_text(d, "'sql'", &sql->text);
    if (str_is(d->r.text, "sql_id"))
        return json_read_id(d, "'sql_id'", &sql->id, &sql->has_id);
    *ret_taken = false;
    return 0;
}

/* The value of a "stmt". */
int json_read_stmt(struct json_decoder *d, struct hrana_stmt *ret_stmt)
{
    enum token token = json_next(&d->r);
    int more;

    *ret_stmt = (struct hrana_stmt){.want_rows = true};
    if (token != TOKEN_OBJECT)
        return json_wrong(d, token, "'stmt'", "an object");
    while ((more = json_next_key(d)) > 0) {
        bool taken;
        int rc = json_read_sql_member(d, &ret_stmt->sql, &taken);

        if (!taken) {
            if (str_is(d->r.text, "args"))
                rc = read_args(d, ret_stmt);
            else if (str_is(d->r.text, "named_args"))
                rc = read_named_args(d, ret_stmt);
            else if (str_is(d->r.text, "want_rows"))
                rc = read_flag(d, "'want_rows'", &ret_stmt->want_rows);
            else
                rc = json_ignore(d);
        }
        if (rc < 0)
            return -1;
    }
    return more;
}

/* ---- batches ---- */

static int read_condition(struct json_decoder *d, const struct condition **ret_condition);

static int read_conditions(struct json_decoder *d, const struct condition **ret_first)
{
    struct condition *last = NULL;
    int rc;

    *ret_first = NULL;
    if (!json_begin_list(d, "'conds'", &rc))
        return rc;
    while ((rc = json_next_object(d, "a condition")) > 0) {
        const struct condition *member;
        struct condition *mine;

        if (read_condition(d, &member) < 0)
            return -1;
        mine = arena_alloc(d->arena, sizeof(*mine));
        if (mine == NULL)
            return no_memory(d);
        *mine = *member;
        mine->next = NULL;
        if (last == NULL)
            *ret_first = mine;
        else
            last->next = mine;
        last = mine;
    }
    return rc;
}

static int condition_type(struct json_decoder *d, struct str name, enum condition_type *ret_type)
{
    static const char *const names[] = {
        [CONDITION_OK] = "ok",
        [CONDITION_ERROR] = "error",
        [CONDITION_NOT] = "not",
        [CONDITION_AND] = "and",
        [CONDITION_OR] = "or",
        [CONDITION_AUTOCOMMIT] = "is_autocommit",
    };

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (str_is(name, names[i])) {
            *ret_type = (enum condition_type)i;
            return 0;
        }
    }
    return err_set(d->err, ERR_BAD_REQUEST, "there is no condition of that 'type'");
}

/* What a condition of that type has to hold. */
static int condition_complete(
    struct json_decoder *d, const struct condition *condition, bool has_step, bool has_conds)
{
    switch (condition->type) {
    case CONDITION_OK:
    case CONDITION_ERROR:
        return has_step ? 0 : err_set(d->err, ERR_BAD_REQUEST, "the condition takes 'step'");
    case CONDITION_NOT:
        return condition->first != NULL
                   ? 0
                   : err_set(d->err, ERR_BAD_REQUEST, "the condition 'not' takes 'cond'");
    case CONDITION_AND:
    case CONDITION_OR:
        return has_conds ? 0 : err_set(d->err, ERR_BAD_REQUEST, "the condition takes 'conds'");
    case CONDITION_AUTOCOMMIT:
    default:
        return 0;
    }
}

static int read_condition_members(struct json_decoder *d, struct condition *condition)
{
    const struct condition *one = NULL;
    const struct condition *many = NULL;
    struct str type = {.ptr = NULL};
    int64_t step = 0;
    bool has_step = false;
    bool has_conds = false;
    int more;

    while ((more = json_next_key(d)) > 0) {
        int rc;

        if (str_is(d->r.text, "type")) {
            rc = json_read_text(d, "a condition's 'type'", &type);
        } else if (str_is(d->r.text, "step")) {
            rc = json_read_number(d, "a condition's 'step'", 0, UINT32_MAX, &step, &has_step);
        } else if (str_is(d->r.text, "cond")) {
            enum token token = json_next(&d->r);

            rc = token == TOKEN_OBJECT ? read_condition(d, &one)
                 : token == TOKEN_NULL ? 0
                                       : json_wrong(d, token, "'cond'", "an object");
        } else if (str_is(d->r.text, "conds")) {
            has_conds = true;
            rc = read_conditions(d, &many);
        } else {
            rc = json_ignore(d);
        }
        if (rc < 0)
            return -1;
    }
    if (more < 0 || condition_type(d, type, &condition->type) < 0)
        return -1;
    condition->step = (uint32_t)step;
    condition->first = condition->type == CONDITION_NOT ? one : many;
    return condition_complete(d, condition, has_step, has_conds);
}

/* Behind the brace. */
static int read_condition(struct json_decoder *d, const struct condition **ret_condition)
{
    struct condition *condition;
    int rc;

    if (d->depth == CONDITION_DEPTH_MAX)
        return err_set(
            d->err, ERR_TOO_LARGE, "conditions nest more than %d deep", CONDITION_DEPTH_MAX);
    condition = arena_zalloc(d->arena, sizeof(*condition));
    if (condition == NULL)
        return no_memory(d);
    d->depth++;
    rc = read_condition_members(d, condition);
    d->depth--;
    *ret_condition = condition;
    return rc;
}

static int read_step(struct json_decoder *d, struct hrana_step *step)
{
    bool has_stmt = false;
    int more;

    step->condition = NULL;
    while ((more = json_next_key(d)) > 0) {
        int rc;

        if (str_is(d->r.text, "stmt")) {
            has_stmt = true;
            rc = json_read_stmt(d, &step->stmt);
        } else if (str_is(d->r.text, "condition")) {
            enum token token = json_next(&d->r);

            rc = token == TOKEN_OBJECT ? read_condition(d, &step->condition)
                 : token == TOKEN_NULL ? 0
                                       : json_wrong(d, token, "'condition'", "an object");
        } else {
            rc = json_ignore(d);
        }
        if (rc < 0)
            return -1;
    }
    if (more == 0 && !has_stmt)
        return err_set(d->err, ERR_BAD_REQUEST, "a step takes 'stmt'");
    return more;
}

static int read_steps(struct json_decoder *d, struct hrana_batch *batch)
{
    struct hrana_step *steps = NULL;
    unsigned capacity = 0;
    unsigned count = 0;
    int rc;

    if (!json_begin_list(d, "'steps'", &rc))
        return rc < 0 ? -1 : err_set(d->err, ERR_BAD_REQUEST, "a batch takes 'steps'");
    while ((rc = json_next_object(d, "a step")) > 0) {
        if (count == d->limits->steps)
            return err_set(
                d->err, ERR_TOO_LARGE, "a batch takes at most %u steps", d->limits->steps);
        steps = json_grow(d, steps, count, &capacity, sizeof(*steps));
        if (steps == NULL || read_step(d, &steps[count]) < 0)
            return -1;
        count++;
    }
    batch->steps = steps;
    batch->step_count = count;
    return rc;
}

/* The value of a "batch". */
int json_read_batch(struct json_decoder *d, struct hrana_batch *ret_batch)
{
    enum token token = json_next(&d->r);
    bool has_steps = false;
    int more;

    *ret_batch = (struct hrana_batch){.step_count = 0};
    if (token != TOKEN_OBJECT)
        return json_wrong(d, token, "'batch'", "an object");
    while ((more = json_next_key(d)) > 0) {
        bool steps = str_is(d->r.text, "steps");

        has_steps |= steps;
        if ((steps ? read_steps(d, ret_batch) : json_ignore(d)) < 0)
            return -1;
    }
    if (more == 0 && !has_steps)
        return err_set(d->err, ERR_BAD_REQUEST, "a batch takes 'steps'");
    return more;
}
