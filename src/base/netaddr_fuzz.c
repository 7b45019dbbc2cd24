/* Whatever netaddr_parse() accepts is written in one form, which is read back as the same address. */
#include "base/netaddr.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct netaddr addr, again;
    if (netaddr_parse(view_of(data, size), 25, &addr) != ERR_OK)
        return 0;
    struct buf text, second;
    buf_init(&text, 100);
    buf_init(&second, 100);
    buf_put_netaddr(&text, &addr);
    BUG_IF(buf_err(&text) != ERR_OK);
    BUG_IF(netaddr_parse(buf_view(&text), 0, &again) != ERR_OK);
    BUG_IF(!netaddr_ip_eq(&addr, &again) || addr.port != again.port);
    buf_put_netaddr(&second, &again);
    BUG_IF(!view_eq(buf_view(&text), buf_view(&second)));
    BUG_IF(netaddr_is_loopback(&addr) && !netaddr_is_private(&addr));
    struct netaddr network = netaddr_network(&addr), twice = netaddr_network(&network);
    BUG_IF(!netaddr_ip_eq(&network, &twice));
    buf_fini(&text);
    buf_fini(&second);
    return 0;
}
