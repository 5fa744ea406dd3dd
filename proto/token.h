/* What a decoder meets next: the same words for JSON and MessagePack, so that handlers read a body
 * without knowing which one it is. */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

enum token {
    TOKEN_INVALID = -1, /* malformed; the reader's error and offset say what and where */
    TOKEN_END,          /* the whole document has been read */
    TOKEN_NULL,
    TOKEN_FALSE,
    TOKEN_TRUE,
    TOKEN_INTEGER,
    TOKEN_REAL,
    TOKEN_STRING,
    TOKEN_BLOB,     /* MessagePack bin only */
    TOKEN_BAD_TEXT, /* MessagePack ext 1 only: text that is not UTF-8 */
    TOKEN_ARRAY,
    TOKEN_ARRAY_END,
    TOKEN_OBJECT,
    TOKEN_KEY,
    TOKEN_OBJECT_END,
};

#endif
