/*
 * The file of logins, ~/.config/portside/psctl.json, mode 0600:
 *
 *   {"version": 1, "current": "default",
 *    "contexts": {"default": {"url", "token" or "tokenFile", "ca"}}}
 *
 * PSCTL_CONFIG names another file. Which login counts, the first that is there:
 *
 *   1. --context NAME: that one and nothing of the environment;
 *   2. PORTSIDE_URL, PORTSIDE_TOKEN and PORTSIDE_CA (a file), each in place of
 *      what the login of 3 or 4 says;
 *   3. PORTSIDE_CONTEXT;
 *   4. the current context of the file.
 *
 * A PORTSIDE_URL that differs from the stored one also hides the stored token
 * and CA, so that a token is never sent to a server it was not made for.
 */
#ifndef PS_CLI_SETTINGS_H
#define PS_CLI_SETTINGS_H

#include "cli/rest.h"

struct ps_settings {
    char *path;    /* of the file */
    char *context; /* NULL: the current one */
    char *url;     /* NULL: not logged in */
    char *token;
    char *token_path; /* the token is in this file, not in that of logins */
    char *ca_pem;     /* NULL: the system's bundle */
};

/* A missing file is not an error: url is NULL then. context: of --context, or
 * NULL; PS_EXIT_NOT_FOUND when there is none of that name. */
PS_MUST_USE enum ps_exit ps_settings_load(struct ps_settings *settings,
                                          const char *context,
                                          struct ps_fault *fault);
/* Writes the context; other contexts stay. It becomes the current one when
 * there is no other that is. */
PS_MUST_USE enum ps_exit ps_settings_save(const struct ps_settings *settings,
                                          struct ps_fault *fault);
/* Removes the context; *had tells whether there was one. */
PS_MUST_USE enum ps_exit ps_settings_forget(const struct ps_settings *settings,
                                            bool *had, struct ps_fault *fault);
void ps_settings_done(struct ps_settings *settings);

/* The file of logins as a whole, for `psctl context`: without a file, an object
 * without contexts. *path and *file are owned by the caller. */
PS_MUST_USE enum ps_exit ps_logins_open(char **path, json_t **file,
                                        struct ps_fault *fault);
PS_MUST_USE enum ps_exit ps_logins_write(const char *path, const json_t *file,
                                         struct ps_fault *fault);
/* The name of its current context; there may be none of that name. */
const char *ps_logins_current(const json_t *file);
/* The context of this name; else NULL, and the fault says which was meant. */
json_t *ps_logins_find(const json_t *file, const char *name,
                       struct ps_fault *fault);
/* Letters, digits and "._-", 64 at most. */
PS_MUST_USE enum ps_exit ps_context_name_check(const char *name,
                                               struct ps_fault *fault);
/* $PORTSIDE_CONTEXT, NULL when it is empty. */
const char *ps_context_of_environment(void);

/* The path of the file, owned by the caller; NULL without a home. */
char *ps_settings_path(void);
/* Without slashes or "/v1" at its end; owned by the caller. */
char *ps_url_normal(const char *url);
/* A small text file without the ends of its last line; "-" is standard
 * input. Give it to ps_secret_free(). */
PS_MUST_USE enum ps_exit ps_secret_read(const char *path, char **text,
                                        struct ps_fault *fault);
/* Overwrites and frees; *text is NULL afterwards. */
void ps_secret_free(char **text);

#endif
