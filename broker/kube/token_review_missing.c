/* broker/kube/token_review_missing.c — in the place of token_review.c until that is merged: refuses every token.
 * To be deleted then. */
#include "broker/kube/token_review.h"

#include "broker/broker_worker.h"

static void on_refusal(struct task *t)
{
    struct token_check *check = container_of(t, struct token_check, refusal);
    check->answered(check, false, check->refusal_text);
}

void token_review_check(struct broker_worker *bw, struct token_check *check, struct slice token)
{
    (void)token;
    check->refusal_text = "tokens cannot be reviewed yet";
    task_init(&check->refusal, on_refusal);
    worker_defer(bw->worker, &check->refusal);
}

void token_review_cancel(struct token_check *check)
{
    if (check->refusal.run)
        task_cancel(&check->refusal);
}
