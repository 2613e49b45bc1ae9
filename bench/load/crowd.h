/* bench/load/crowd.h — many tunnels held open, a few of them in use: memory is what they are for. One thread,
 * epoll. */
#pragma once

struct load_options;
struct load_result;

int crowd_run(const struct load_options *, struct load_result *ret_result);
/* Opens all and uses each once, says so in a line on stdout, then keeps the active ones busy until stdin
 * ends. 0, or -errno when the generator itself could not work. What the proxy does is in the result. */
