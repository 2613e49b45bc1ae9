/* broker/kube/token_ask.h — one question about a token on its way between the worker that asks and the API's
 * home. Internal to broker/kube/.
 *
 *   asker to home   ASK      seg: the token; extra[0]: the ask, opaque to the home, extra[1]: the worker
 *   home to asker   answer   to: the ask; value: is it good; seg: why not, or none
 *
 * Each ask is answered once, also when its asker has left meanwhile: then nobody hears it. */
#pragma once

#include <stdbool.h>

#include "io/attributes.h"
#include "io/mailbox.h"

struct token_ask;

void token_ask_deliver(struct worker *, struct msg *);
/* Message function of the home. to: struct token_reviews. */
void token_ask_answer(struct worker *home, unsigned asker, struct token_ask *, bool good, const char *why);
/* By the home. */
