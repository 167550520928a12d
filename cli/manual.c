/* See manual.h. */
#include "cli/manual.h"

#include "cli/command.h"

/* Text with what troff would take for its own escaped; minus signs stay what
 * can be typed. */
static void
text(struct ps_buf *out, struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\')
            ps_buf_append_c(out, "\\(rs");
        else if (c == '-')
            ps_buf_append_c(out, "\\-");
        else if ((c == '.' || c == '\'') && (i == 0 || s.ptr[i - 1] == '\n'))
            ps_buf_printf(out, "\\&%c", c);
        else
            ps_buf_append_char(out, c);
    }
}

static void
line(struct ps_buf *out, const char *s)
{
    text(out, ps_str_of(s));
    ps_buf_append_char(out, '\n');
}

static void
options(struct ps_buf *out, const struct ps_option *o)
{
    for (; o && o->name; o++) {
        ps_buf_append_c(out, ".TP\n\\fB\\-\\-");
        text(out, ps_str_of(o->name));
        ps_buf_append_c(out, "\\fR");
        if (o->value) {
            ps_buf_append_c(out, " \\fI");
            text(out, ps_str_of(o->value));
            ps_buf_append_c(out, "\\fR");
        }
        ps_buf_append_char(out, '\n');
        line(out, o->help);
    }
}

/* Lines that begin with a blank are examples and stay as they are. */
static void
details(struct ps_buf *out, const char *s)
{
    bool example = false;
    while (*s) {
        size_t len = strcspn(s, "\n");
        bool verbatim = len > 0 && s[0] == ' ';
        if (verbatim != example)
            ps_buf_append_c(out, verbatim ? ".EX\n" : ".EE\n");
        else if (!verbatim)
            ps_buf_append_c(out, ".PP\n");
        example = verbatim;
        text(out, (struct ps_str){s, len});
        ps_buf_append_char(out, '\n');
        s += len + (s[len] == '\n');
    }
    if (example)
        ps_buf_append_c(out, ".EE\n");
}

static void
command(struct ps_buf *out, const struct ps_command *c)
{
    ps_buf_append_c(out, ".SS \"");
    text(out, ps_str_of(c->name));
    ps_buf_append_c(out, "\"\n.B psctl ");
    text(out, ps_str_of(c->name));
    ps_buf_append_char(out, '\n');
    if (c->synopsis[0])
        line(out, c->synopsis);
    ps_buf_append_c(out, ".PP\n");
    line(out, c->summary);
    if (c->details)
        details(out, c->details);
    options(out, c->options);
}

void
ps_manual(struct ps_buf *out)
{
    const struct ps_command *c;
    ps_buf_append_c(out, ".TH PSCTL 1 \"\" \"Portside " PS_VERSION
                         "\" \"Portside\"\n.SH NAME\n"
                         "psctl \\- operate the Portside database cache\n"
                         ".SH SYNOPSIS\n.B psctl\n.I command\n"
                         ".RI [ options ]\n.SH DESCRIPTION\n"
                         "Talks HTTPS with a control plane: defines caches, "
                         "shows what its agents do, and says why.\n"
                         ".SH COMMANDS\n");
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        command(out, c);
    ps_buf_append_c(out, ".SH OPTIONS OF EVERY COMMAND\n");
    options(out, ps_global_options);
    ps_buf_append_c(out, ".SH ENVIRONMENT\n");
    for (const struct ps_variable *v = ps_environment; v->name; v++) {
        ps_buf_printf(out, ".TP\n.B %s\n", v->name);
        line(out, v->help);
    }
    ps_buf_append_c(out, ".SH EXIT STATUS\n");
#define X(name, number, meaning)             \
    ps_buf_printf(out, ".TP\n%d\n", number); \
    line(out, meaning);
    PS_EXIT_TABLE(X)
#undef X
    ps_buf_append_c(out, ".SH SEE ALSO\n.BR portside\\-agent (8),\n"
                         ".BR portside\\-controlplane (8)\n");
}
