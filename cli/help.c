/*
 * Help texts, made from the command table. Lines are at most 80 columns wide;
 * a help text that does not fit beside its option is wrapped.
 */
#include "cli/command.h"
#include "common/check.h"

enum {
    WIDTH = 80,
    INDENT = 28
};

static void
spaces(struct ps_buf *out, size_t n)
{
    while (n-- > 0)
        ps_buf_append_char(out, ' ');
}

/* Appends text, words wrapped, continued at column `indent`. */
static void
wrap(struct ps_buf *out, const char *text, size_t indent)
{
    size_t column = indent;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > indent && column + 1 + len > WIDTH) {
            ps_buf_append_char(out, '\n');
            spaces(out, indent);
            column = indent;
        } else if (column > indent) {
            ps_buf_append_char(out, ' ');
            column++;
        }
        ps_buf_append(out, text, len);
        column += len;
        text += len + strspn(text + len, " ");
    }
    ps_buf_append_char(out, '\n');
}

/* "  left   right", right wrapped at INDENT. */
static void
entry(struct ps_buf *out, const char *left, const char *right)
{
    size_t used = strlen(left) + 2;
    spaces(out, 2);
    ps_buf_append_c(out, left);
    if (used + 2 > INDENT) {
        ps_buf_append_char(out, '\n');
        used = 0;
    }
    spaces(out, INDENT - used);
    wrap(out, right, INDENT);
}

/* Paragraphs are wrapped; lines that begin with a blank stay as they are. */
static void
paragraphs(struct ps_buf *out, const char *text)
{
    char line[1024];
    while (*text) {
        size_t len = strcspn(text, "\n");
        PS_CHECK(len < sizeof(line));
        memcpy(line, text, len);
        line[len] = '\0';
        if (line[0] == ' ')
            ps_buf_printf(out, "%s\n", line);
        else
            wrap(out, line, 0);
        text += len + (text[len] == '\n');
    }
}

static void
option_entries(struct ps_buf *out, const struct ps_option *option)
{
    struct ps_buf left;
    ps_buf_init(&left, 256);
    for (; option && option->name; option++) {
        ps_buf_clear(&left);
        ps_buf_printf(&left, "--%s%s%s", option->name, option->value ? " " : "",
                      option->value ? option->value : "");
        ps_buf_append_char(&left, '\0');
        entry(out, left.data ? left.data : "", option->help);
    }
    ps_buf_done(&left);
}

static void
exit_entries(struct ps_buf *out)
{
    ps_buf_append_c(out, "\nExit status:\n");
#define X(name, number, meaning) \
    ps_buf_printf(out, "  %-5d%s\n", number, meaning);
    PS_EXIT_TABLE(X)
#undef X
}

void
ps_help_command(const struct ps_command *command, struct ps_buf *out)
{
    ps_buf_printf(out, "psctl %s - %s\n\nUsage: psctl %s ", command->name,
                  command->summary, command->name);
    wrap(out, command->synopsis, strlen(command->name) + 14);
    if (command->details) {
        ps_buf_append_char(out, '\n');
        paragraphs(out, command->details);
    }
    if (command->options) {
        ps_buf_append_c(out, "\nOptions:\n");
        option_entries(out, command->options);
    }
    ps_buf_append_c(out, "\nOptions of every command:\n");
    option_entries(out, ps_global_options);
    exit_entries(out);
}

static bool
in_group(const struct ps_command *command, const char *group)
{
    size_t len = strlen(group);
    return len == 0 ||
           (strncmp(command->name, group, len) == 0 &&
            (command->name[len] == ' ' || command->name[len] == '\0'));
}

const struct ps_variable ps_environment[] = {
    {"PORTSIDE_URL",         "the control plane's address, instead of a login"      },
    {"PORTSIDE_TOKEN",       "the API token"                                        },
    {"PORTSIDE_CA",          "file with the control plane's CA certificate"         },
    {"PORTSIDE_CONTEXT",
     "name of the login to use; see `psctl context --help`"                         },
    {"PORTSIDE_DB_PASSWORD", "the database password for `psctl query`"              },
    {"PSCTL_CONFIG",         "file of logins; default ~/.config/portside/psctl.json"},
    {"NO_COLOR",             "when not empty: no colours"                           },
    {NULL,                   NULL                                                   },
};

static void
environment_entries(struct ps_buf *out)
{
    ps_buf_append_c(out, "\nEnvironment:\n");
    for (const struct ps_variable *v = ps_environment; v->name; v++)
        ps_buf_printf(out, "  %-24s%s\n", v->name, v->help);
}

void
ps_help_group(const char *group, struct ps_buf *out)
{
    const struct ps_command *c;
    if (group[0])
        ps_buf_printf(out, "Usage: psctl %s COMMAND\n\nCommands:\n", group);
    else
        ps_buf_append_c(out,
                        "psctl - operate Portside, the database cache close "
                        "to your code\n\nUsage: psctl COMMAND [options]\n\n"
                        "Commands:\n");
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        if (in_group(c, group))
            entry(out, c->name, c->summary);
    ps_buf_append_c(out, "\nOptions of every command:\n");
    option_entries(out, ps_global_options);
    if (!group[0]) {
        environment_entries(out);
        exit_entries(out);
    }
    ps_buf_printf(out, "\nMore about one: psctl help %s%sCOMMAND\n", group,
                  group[0] ? " " : "");
}
