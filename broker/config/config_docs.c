/* broker/config/config_docs.c — docs/configuration.md, printed from the table of settings. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_table.h"

static const char head[] =
    "# Configuration\n"
    "\n"
    "<!-- Printed from the table in broker/config/config_table*.c. Do not edit: change the table, then run\n"
    "     HAWSER_UPDATE_DOCS=1 ctest --test-dir build-asan -R test_config -->\n"
    "\n"
    "`hawser serve --config FILE` reads one YAML document of at most 1 MiB. It is read strictly: an unknown "
    "field, a\n"
    "wrong type, a value out of bounds, a missing file or a key that does not belong to its certificate is "
    "told in\n"
    "one line, with the place and what was expected, and ends with exit code 2 before anything listens.\n"
    "`hawser check --config FILE` does the same and opens nothing. Anchors, aliases and tags are not "
    "accepted.\n"
    "[examples/hawser.yaml](examples/hawser.yaml) is a whole file with comments.\n"
    "\n"
    "Numbers are decimal; times are in milliseconds and sizes in bytes, as the names say. *Required* fields "
    "have no\n"
    "default. The file is read at start: a change of it needs a new process (fields marked *restart* always\n"
    "will). What the files hold that it names, certificates and keys above all, is read again whenever it\n"
    "changes ([operations](operations.md#renewing-certificates)).\n"
    "\n"
    "Loopback, link-local, multicast and cloud metadata addresses are refused unless a route names them: by "
    "a block\n"
    "in `cidrs` that lies inside the special block (`127.16.0.0/12` is inside `127.0.0.0/8`; `0.0.0.0/0` is "
    "not), or\n"
    "by the address itself in `hosts`. The same holds for the addresses that names resolve to.\n";

/* A '|' would end the cell; '*' and '<' would be taken for markup. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (strchr("|*<", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_words(const struct config_word *words, FILE *out)
{
    for (const struct config_word *w = words; w->text; w++)
        fprintf(out, "%s`%s`", w == words ? "" : ", ", w->text);
}

static void print_type(const struct config_row *row, FILE *out)
{
    switch (row->type) {
    case CONFIG_UINT:
        fprintf(out, "%" PRIu64 " to %" PRIu64 "%s%s", row->min, row->max, row->unit ? " " : "",
                row->unit ? row->unit : "");
        return;
    case CONFIG_BOOL: fputs("`true`, `false`", out); return;
    case CONFIG_STRING: print_cell(config_form_text(row->form), out); return;
    case CONFIG_ENUM: print_words(row->words, out); return;
    case CONFIG_SET:
        fputs("list of ", out);
        print_words(row->words, out);
        return;
    case CONFIG_MAPPING:
    case CONFIG_OPTIONAL: fputs("mapping", out); return;
    case CONFIG_SEQUENCE:
        if (row->entry == CONFIG_ENUM) {
            fputs("list, in order, of ", out);
            print_words(row->words, out);
            return;
        }
        fprintf(out, "list of %" PRIu64 " to %" PRIu64 "%s", row->min, row->max,
                row->entry == CONFIG_STRING ? ": "
                : row->entry == CONFIG_UINT ? " numbers"
                                            : " mappings");
        if (row->entry == CONFIG_STRING)
            print_cell(config_form_text(row->form), out);
        return;
    }
}

static void print_default(const struct config_row *row, FILE *out)
{
    if (row->required)
        fputs("*required*", out);
    else if (row->text)
        fprintf(out, row->type == CONFIG_STRING ? "`%s`" : "%s", row->text);
    else if (row->type == CONFIG_UINT)
        fprintf(out, "%" PRIu64, row->value);
    else if (row->type == CONFIG_BOOL)
        fputs(row->value ? "`true`" : "`false`", out);
    else if (row->type == CONFIG_ENUM || row->type == CONFIG_SET)
        fprintf(out, "`%s`", config_word_text(row->words, (uint32_t)row->value));
    else
        fputs("—", out);
}

static void print_table(const struct config_row *rows, FILE *out)
{
    fputs("| field | value | default | meaning |\n|---|---|---|---|\n", out);
    for (const struct config_row *row = rows; row->name; row++) {
        fprintf(out, "| `%s` | ", row->name);
        print_type(row, out);
        fputs(" | ", out);
        print_default(row, out);
        fputs(" | ", out);
        print_cell(row->help, out);
        if (row->restart)
            fputs(" *Restart.*", out);
        if (row->source) {
            fputs(" (", out);
            print_cell(row->source, out);
            fputc(')', out);
        }
        fputs(" |\n", out);
    }
}

static void print_section(const struct config_row *rows, const char *path, FILE *out)
{
    char below[160];
    fprintf(out, "\n## %s\n\n", path[0] ? path : "The document");
    print_table(rows, out);
    for (const struct config_row *row = rows; row->name; row++) {
        if (!row->rows)
            continue;
        snprintf(below, sizeof(below), "%s%s%s%s", path, path[0] ? "." : "", row->name,
                 row->type == CONFIG_SEQUENCE ? "[]" : "");
        print_section(row->rows, below, out);
    }
}

void config_print_docs(FILE *out)
{
    fputs(head, out);
    print_section(config_rows, "", out);
}
