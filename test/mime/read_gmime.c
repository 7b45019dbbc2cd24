/* GMime's reading of a message, for comparison. */
#include "compare.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <gmime/gmime.h>
#pragma GCC diagnostic pop

void read_gmime_prepare(void) {
    g_mime_init();
}

static json_t *text_or_null(const char *text) {
    return text == NULL ? json_null() : compare_text(view_cstr(text));
}

static void put_leaf(GMimePart *part, json_t *object, bool full) {
    GMimeDataWrapper *content = g_mime_part_get_content(part);
    if (content != NULL) {
        GMimeStream *out = g_mime_stream_mem_new();
        (void)g_mime_data_wrapper_write_to_stream(content, out);
        GByteArray *octets = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(out));
        compare_put_body(object, view_of(octets->data, octets->len), false, full);
        g_object_unref(out);
    } else {
        compare_put_body(object, VIEW_NONE, false, full);
    }
    const char *name = g_mime_part_get_filename(part);
    if (name != NULL)
        (void)json_object_set_new(object, "name", compare_text(view_cstr(name)));
}

static json_t *part_value(GMimeObject *part, bool full) {
    if (part == NULL)
        return json_null();
    char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(part));
    char *lower = g_ascii_strdown(type, -1);
    json_t *object = json_pack("{s:o}", "type", compare_text(view_cstr(lower)));
    g_free(lower);
    g_free(type);
    if (GMIME_IS_MULTIPART(part)) {
        json_t *parts = json_array();
        int count = g_mime_multipart_get_count(GMIME_MULTIPART(part));
        for (int i = 0; i < count; i++)
            (void)json_array_append_new(parts, part_value(g_mime_multipart_get_part(GMIME_MULTIPART(part), i), full));
        (void)json_object_set_new(object, "parts", parts);
    } else if (GMIME_IS_MESSAGE_PART(part)) {
        GMimeMessage *message = g_mime_message_part_get_message(GMIME_MESSAGE_PART(part));
        (void)json_object_set_new(
            object, "message", message == NULL ? json_null() : part_value(g_mime_message_get_mime_part(message), full));
    } else if (GMIME_IS_PART(part)) {
        put_leaf(GMIME_PART(part), object, full);
    }
    return object;
}

static void put_addresses(InternetAddressList *list, json_t *all) {
    int count = list == NULL ? 0 : internet_address_list_length(list);
    for (int i = 0; i < count; i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);
        if (INTERNET_ADDRESS_IS_GROUP(address))
            put_addresses(internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)), all);
        else
            (void)json_array_append_new(
                all, json_pack("[o, o]", text_or_null(internet_address_get_name(address)),
                               text_or_null(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address)))));
    }
}

static json_t *addresses(InternetAddressList *list) {
    json_t *all = json_array();
    put_addresses(list, all);
    return all;
}

json_t *read_gmime(struct view bytes, bool full) {
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer((const char *)bytes.p, bytes.n);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    json_t *object = NULL;
    if (message != NULL) {
        GDateTime *date = g_mime_message_get_date(message);
        object =
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "tree", part_value(g_mime_message_get_mime_part(message), full),
                      "subject", text_or_null(g_mime_message_get_subject(message)), "date",
                      date == NULL ? json_null() : json_integer(g_date_time_to_unix(date)), "from",
                      addresses(g_mime_message_get_from(message)), "to", addresses(g_mime_message_get_to(message)),
                      "cc", addresses(g_mime_message_get_cc(message)));
        g_object_unref(message);
    }
    g_object_unref(parser);
    g_object_unref(stream);
    return object;
}
