/* Questions at the terminal. See prompt.h. */
#include "cli/prompt.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

bool
ps_prompt_possible(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

/* Without its newline; NULL at the end of input. */
static char *
read_line(FILE *tty)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, tty);
    if (len < 0) {
        free(line);
        return NULL;
    }
    if (len > 0 && line[len - 1] == '\n')
        line[len - 1] = '\0';
    return line;
}

char *
ps_prompt_secret(const char *question)
{
    struct termios old, quiet;
    sigset_t stops, before;
    FILE *tty = fopen("/dev/tty", "r+");
    if (tty == NULL || tcgetattr(fileno(tty), &old) != 0) {
        if (tty)
            fclose(tty);
        return NULL;
    }
    fputs(question, tty);
    fflush(tty);
    /* No signal of the keyboard may end this while echo is off. */
    sigemptyset(&stops);
    sigaddset(&stops, SIGTSTP);
    sigprocmask(SIG_BLOCK, &stops, &before);
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    quiet.c_lflag |= ICANON;
    tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    char *line = read_line(tty);
    tcsetattr(fileno(tty), TCSAFLUSH, &old);
    sigprocmask(SIG_SETMASK, &before, NULL);
    fputs("\n", tty);
    fclose(tty);
    /* Ctrl-C arrived as a character, since its signal was off. */
    if (line && memchr(line, 3, strlen(line))) {
        explicit_bzero(line, strlen(line));
        free(line);
        line = NULL;
    }
    return line;
}

bool
ps_prompt_yes(const char *question)
{
    FILE *tty = fopen("/dev/tty", "r+");
    if (tty == NULL)
        return false;
    fprintf(tty, "%s [y/N] ", question);
    fflush(tty);
    char *line = read_line(tty);
    fclose(tty);
    bool yes = line && (strcmp(line, "y") == 0 || strcmp(line, "yes") == 0 ||
                        strcmp(line, "Y") == 0);
    free(line);
    return yes;
}
