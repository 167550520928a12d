/*
 * The file of logins, ~/.config/portside/psctl.json, mode 0600:
 *
 *   {"version": 1, "current": "default",
 *    "contexts": {"default": {"url", "token", "ca"}}}
 *
 * PSCTL_CONFIG names another file. PORTSIDE_URL, PORTSIDE_TOKEN and
 * PORTSIDE_CA (a file) go before what it says; a PORTSIDE_URL that differs
 * from the stored one also hides the stored token and CA, so that a token is
 * never sent to a server it was not made for.
 */
#ifndef PS_CLI_SETTINGS_H
#define PS_CLI_SETTINGS_H

#include "cli/rest.h"

struct ps_settings {
    char *path; /* of the file */
    char *url;  /* NULL: not logged in */
    char *token;
    char *ca_pem; /* NULL: the system's bundle */
};

/* A missing file is not an error: url is NULL then. */
PS_MUST_USE enum ps_exit ps_settings_load(struct ps_settings *settings,
                                          struct ps_fault *fault);
/* Writes the current context; other contexts stay. */
PS_MUST_USE enum ps_exit ps_settings_save(const struct ps_settings *settings,
                                          struct ps_fault *fault);
/* Removes the current context; *had tells whether there was one. */
PS_MUST_USE enum ps_exit ps_settings_forget(const struct ps_settings *settings,
                                            bool *had, struct ps_fault *fault);
void ps_settings_done(struct ps_settings *settings);

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
