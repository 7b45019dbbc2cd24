/* The account database's schema and its migrations. The data model is told in schema.c, beside the SQL. */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

#include "store/sqlite/db.h"

#define ACCOUNT_DATABASE "account.db"
#define ACCOUNT_APPLICATION_ID 0x56724163 /* "VrAc" */

/* What a tombstone, a floor or an annotation is about. The numbers are in databases: fixed for good. */
enum object_type {
    OBJECT_MAILBOX = 1,
    OBJECT_EMAIL = 2,
    OBJECT_THREAD = 3,
    OBJECT_MESSAGE = 4, /* in annotations; a removed message is in `vanished` */
    OBJECT_SUBSCRIPTION = 5,
    OBJECT_SCRIPT = 6,
    OBJECT_CALENDAR = 7,
    OBJECT_EVENT = 8,
    OBJECT_ADDRESS_BOOK = 9,
    OBJECT_CARD = 10,
    OBJECT_IDENTITY = 11,
    OBJECT_SUBMISSION = 12,
};

enum blob_codec { CODEC_RAW = 0, CODEC_ZSTD = 1 };
enum blob_place { PLACE_DATABASE = 0, PLACE_FILE = 1 }; /* later: pack files, object storage */

extern const struct db_schema account_schema;

#endif
