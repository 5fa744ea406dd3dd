#include "tenants/diff/values.h"

#include <sqlite3.h>

struct value cell_value(struct sqlite3_stmt *statement, int column)
{
    struct value value = {.type = VALUE_NULL};

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value.type = VALUE_INTEGER;
        value.integer = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        value.type = VALUE_REAL;
        value.real = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
        value.type = VALUE_TEXT;
        value.bytes.ptr = (const char *)sqlite3_column_text(statement, column);
        value.bytes.len = (size_t)sqlite3_column_bytes(statement, column);
        break;
    case SQLITE_BLOB:
        value.type = VALUE_BLOB;
        value.bytes.ptr = sqlite3_column_blob(statement, column);
        value.bytes.len = (size_t)sqlite3_column_bytes(statement, column);
        break;
    default:
        break;
    }
    return value;
}

static void bind(struct sqlite3_stmt *statement, int at, const struct value *value,
    sqlite3_destructor_type destroy)
{
    switch (value->type) {
    case VALUE_NULL:
        (void)sqlite3_bind_null(statement, at);
        break;
    case VALUE_INTEGER:
        (void)sqlite3_bind_int64(statement, at, value->integer);
        break;
    case VALUE_REAL:
        (void)sqlite3_bind_double(statement, at, value->real);
        break;
    case VALUE_TEXT:
        (void)sqlite3_bind_text64(statement, at, value->bytes.len == 0 ? "" : value->bytes.ptr,
            value->bytes.len, destroy, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        (void)sqlite3_bind_blob64(statement, at, value->bytes.len == 0 ? "" : value->bytes.ptr,
            value->bytes.len, destroy);
        break;
    }
}

void bind_cell(struct sqlite3_stmt *statement, int at, const struct value *value)
{
    bind(statement, at, value, SQLITE_STATIC);
}

void bind_copy(struct sqlite3_stmt *statement, int at, const struct value *value)
{
    bind(statement, at, value, SQLITE_TRANSIENT);
}

static uint64_t bits_of(double real)
{
    uint64_t bits;

    memcpy(&bits, &real, sizeof(bits));
    return bits;
}

bool value_same(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_NULL:
        return true;
    case VALUE_INTEGER:
        return a->integer == b->integer;
    case VALUE_REAL:
        return bits_of(a->real) == bits_of(b->real);
    case VALUE_TEXT:
    case VALUE_BLOB:
        break;
    }
    return str_equal(a->bytes, b->bytes);
}
