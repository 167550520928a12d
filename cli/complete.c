/* See complete.h. */
#include "cli/complete.h"

#include "cli/command.h"

#include <stdio.h>

/* The command words typed so far, "cache create", and their number. */
struct path {
    char name[128];
    size_t len;
    const struct ps_command *command; /* NULL: not a whole command yet */
};

static const struct ps_option *
find_option(const struct ps_option *list, const char *word)
{
    size_t len = strcspn(word, "=");
    for (; list && list->name; list++)
        if (strlen(list->name) == len && strncmp(list->name, word, len) == 0)
            return list;
    return NULL;
}

/* The option that word ("--host", "--host=...") names here, or NULL. */
static const struct ps_option *
option_of(const struct path *path, const char *word)
{
    if (strncmp(word, "--", 2) != 0)
        return NULL;
    const struct ps_option *own =
        path->command ? find_option(path->command->options, word + 2) : NULL;
    return own ? own : find_option(ps_global_options, word + 2);
}

/* Whether name goes on as the path does, at a border of words. */
static bool
continues(const struct path *path, const char *name)
{
    return path->len == 0 || (strncmp(name, path->name, path->len) == 0 &&
                              name[path->len] == ' ');
}

static bool
begins_a_command(const char *name, size_t len)
{
    const struct ps_command *c;
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        if (strncmp(c->name, name, len) == 0 &&
            (c->name[len] == ' ' || c->name[len] == '\0'))
            return true;
    return false;
}

/* Words that are commands; what follows them are operands. */
static void
walk(char *const *words, int n, struct path *path)
{
    for (int i = 0; i < n; i++) {
        const struct ps_option *option = option_of(path, words[i]);
        if (option && option->value && !strchr(words[i], '='))
            i++; /* its value */
        if (words[i < n ? i : n - 1][0] == '-' || option)
            continue;
        char longer[sizeof(path->name)];
        int len = snprintf(longer, sizeof(longer), "%s%s%s", path->name,
                           path->len ? " " : "", words[i]);
        if (len < 0 || (size_t)len >= sizeof(longer) ||
            !begins_a_command(longer, (size_t)len))
            return;
        memcpy(path->name, longer, sizeof(longer));
        path->len = (size_t)len;
        path->command = ps_command_find(path->name);
    }
}

static void
candidate(struct ps_buf *out, struct ps_str word, const char *typed,
          const char *about)
{
    if (word.len >= strlen(typed) &&
        strncmp(word.ptr, typed, strlen(typed)) == 0)
        ps_buf_printf(out, "%.*s\t%s\n", PS_STR_ARG(word), about);
}

static void
options(struct ps_buf *out, const struct ps_option *list, const char *typed)
{
    char word[64];
    for (; list && list->name; list++) {
        snprintf(word, sizeof(word), "--%s", list->name);
        candidate(out, ps_str_of(word), typed, list->help);
    }
}

/* "a|b|c"; other values are the user's own. */
static void
choices(struct ps_buf *out, const char *value, const char *typed)
{
    if (!strchr(value, '|'))
        return;
    while (*value) {
        size_t len = strcspn(value, "|");
        candidate(out, (struct ps_str){value, len}, typed, "");
        value += len + (value[len] == '|');
    }
}

static void
commands(struct ps_buf *out, const struct path *path, const char *typed)
{
    struct ps_str last = PS_STR_NONE;
    const struct ps_command *c;
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++) {
        if (!continues(path, c->name))
            continue;
        const char *word = c->name + path->len + (path->len ? 1 : 0);
        size_t len = strcspn(word, " ");
        if (last.len == len && strncmp(last.ptr, word, len) == 0)
            continue; /* commands of a group follow each other */
        last = (struct ps_str){word, len};
        candidate(out, last, typed, word[len] ? "" : c->summary);
    }
}

void
ps_complete(char *const *words, int n, struct ps_buf *out)
{
    struct path path = {.len = 0};
    const char *typed = words[n - 1];
    walk(words, n - 1, &path);
    const struct ps_option *before = n > 1 && !strchr(words[n - 2], '=')
                                         ? option_of(&path, words[n - 2])
                                         : NULL;
    if (before && before->value) {
        choices(out, before->value, typed);
    } else if (typed[0] == '-') {
        options(out, path.command ? path.command->options : NULL, typed);
        options(out, ps_global_options, typed);
    } else {
        commands(out, &path, typed);
    }
}

const char *
ps_complete_script(const char *shell)
{
    static const char bash[] =
        "# psctl completion for bash: eval \"$(psctl completion bash)\"\n"
        "_psctl() {\n"
        "    local IFS=$'\\n' line\n"
        "    COMPREPLY=()\n"
        "    while read -r line; do\n"
        "        COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
        "    done < <(psctl completion words -- "
        "\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
        "}\n"
        "complete -o default -F _psctl psctl\n";
    static const char zsh[] =
        "#compdef psctl\n"
        "# psctl completion for zsh: eval \"$(psctl completion zsh)\"\n"
        "_psctl() {\n"
        "    local -a found\n"
        "    local word about\n"
        "    while IFS=$'\\t' read -r word about; do\n"
        "        found+=(\"${word//:/\\\\:}:$about\")\n"
        "    done < <(psctl completion words -- "
        "\"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
        "    if (( $#found )); then\n"
        "        _describe psctl found\n"
        "    else\n"
        "        _files\n"
        "    fi\n"
        "}\n"
        "compdef _psctl psctl\n";
    static const char fish[] =
        "# psctl completion for fish: psctl completion fish | source\n"
        "function __psctl_words\n"
        "    set -l words (commandline -opc)[2..-1] (commandline -ct)\n"
        "    test (count $words) -gt 0; or set words ''\n"
        "    psctl completion words -- $words 2>/dev/null\n"
        "end\n"
        "complete -c psctl -f -a '(__psctl_words)'\n";
    return strcmp(shell, "bash") == 0   ? bash
           : strcmp(shell, "zsh") == 0  ? zsh
           : strcmp(shell, "fish") == 0 ? fish
                                        : NULL;
}
