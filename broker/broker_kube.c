/* broker/broker_kube.c — what the broker wants of the Kubernetes API: built only where the configuration asks
 * for something of it, so that nobody else needs credentials. */
#include <errno.h>

#include "broker/broker.h"
#include "broker/broker_build.h"
#include "broker/config/config.h"
#include "broker/kube/kube.h"
#include "broker/kube/leases.h"
#include "broker/kube/token_review.h"
#include "broker/kube/token_verdict.h"

static int make_reviews(struct builder *b, const struct config_token_review *c)
{
    const struct token_review_options options = {c->audience, c->namespace, c->service_account};
    int rc = token_reviews_new(b->broker->kube, &options, &b->broker->kube->reviews);
    return rc < 0 ? build_fail(b, rc, "agents.tokenReview") : 0;
}

static int make_leases(struct builder *b, const struct config_leases *c)
{
    const struct lease_options options = {c->namespace, c->label, b->broker->server_id};
    return leases_new(b->broker->kube, &options, &b->broker->kube->leases, b->detail, b->detail_size);
}

int build_kube(struct builder *b)
{
    const struct config_agents *agents = &b->broker->config->agents;
    const struct config_kubernetes *c = &b->broker->config->kubernetes;
    const struct kube_options options = {c->kubeconfig_file, c->qps, c->burst};
    if (!config_asks_kubernetes(b->broker->config))
        return 0;
    int rc = kube_new(b->broker, &options, &b->broker->kube, b->detail, b->detail_size);
    if (rc == 0 && agents->token_review)
        rc = make_reviews(b, agents->token_review);
    if (rc == 0 && agents->leases)
        rc = make_leases(b, agents->leases);
    return rc;
}
