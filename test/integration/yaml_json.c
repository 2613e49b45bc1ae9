/* test/integration/yaml_json.c — one YAML document on standard input, the same in JSON on standard output,
 * for jq. Read by libyaml, not by anything of Hawser's; exit code 1 when that finds no document or two. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <yaml.h>

/* As YAML 1.2's core schema reads a plain scalar, as far as the tests need it. */
static json_t *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    size_t len = node->data.scalar.length;
    char *end;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return json_stringn(text, len);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    long long number = strtoll(text, &end, 10);
    return len > 0 && *end == '\0' ? json_integer(number) : json_stringn(text, len);
}

static json_t *convert(yaml_document_t *document, int id)
{
    const yaml_node_t *node = yaml_document_get_node(document, id);
    json_t *json = NULL;
    switch (node->type) {
    case YAML_SCALAR_NODE: return scalar(node);
    case YAML_SEQUENCE_NODE:
        json = json_array();
        for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
            json_array_append_new(json, convert(document, *i));
        return json;
    case YAML_MAPPING_NODE:
        json = json_object();
        for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
            const yaml_node_t *key = yaml_document_get_node(document, p->key);
            json_object_set_new(json, (const char *)key->data.scalar.value, convert(document, p->value));
        }
        return json;
    case YAML_NO_NODE: break;
    }
    return json;
}

int main(void)
{
    yaml_parser_t parser;
    yaml_document_t document, second;
    if (!yaml_parser_initialize(&parser))
        return 1;
    yaml_parser_set_input_file(&parser, stdin);
    if (!yaml_parser_load(&parser, &document) || !yaml_document_get_root_node(&document)) {
        fprintf(stderr, "line %zu: %s\n", parser.problem_mark.line + 1,
                parser.problem ? parser.problem : "nothing");
        return 1;
    }
    json_t *json = convert(&document, 1);
    json_dumpf(json, stdout, JSON_ENCODE_ANY | JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
    yaml_document_delete(&document);
    int rc = yaml_parser_load(&parser, &second) && !yaml_document_get_root_node(&second) ? 0 : 1;
    yaml_document_delete(&second);
    yaml_parser_delete(&parser);
    return rc;
}
