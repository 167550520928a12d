"""What the scripts/check-* share: the list of files, C without its comments
and strings, and a self-test that every run begins with."""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIP = re.compile(r'^(\.git|\.cache|build.*|node_modules)$')


def files(root, *suffixes):
    """Paths below root that are tracked or would be, sorted."""
    try:
        listed = subprocess.run(
            ['git', '-C', root, 'ls-files', '-z', '--cached', '--others',
             '--exclude-standard', '.'],
            check=True, capture_output=True).stdout.decode().split('\0')
    except (OSError, subprocess.CalledProcessError):
        listed = []
        for folder, names, found in os.walk(root):
            names[:] = [n for n in names if not SKIP.match(n)]
            listed += [os.path.relpath(os.path.join(folder, f), root)
                       for f in found]
    return sorted(f for f in set(listed)
                  if f and f.endswith(suffixes or ('',)) and
                  os.path.isfile(os.path.join(root, f)))


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8',
              errors='replace') as f:
        return f.read()


_NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text):
    """C with comments and the insides of strings blanked, line for line."""
    def blank(m):
        if m[0][0] in '"\'':
            return m[0][0] + ' ' * (len(m[0]) - 2) + m[0][0]
        return re.sub(r'[^\n]', ' ', m[0])
    return _NOISE.sub(blank, text)


def main(check, good, bad):
    """Runs check(root) -> list of "path:line: sentence" over the tree.

    good and bad are trees ({path: text}) that it is tried on first: nothing
    may be found in good; in each of the list bad, something must be. A check
    that cannot fail is worth nothing.
    """
    if len(sys.argv) > 2 or sys.argv[1:] and sys.argv[1].startswith('-'):
        print('Usage: %s [folder]\n\n%s' %
              (os.path.basename(sys.argv[0]), sys.modules['__main__'].__doc__))
        sys.exit(0 if sys.argv[1] in ('-h', '--help') else 2)
    for number, (tree, wanted) in enumerate([(good, False)] +
                                            [(b, True) for b in bad]):
        found = check_planted(check, tree)
        if bool(found) != wanted:
            print('self-test %d: planted %s, found %s' %
                  (number, sorted(tree), found or 'nothing'))
            sys.exit(1)
    found = check(os.path.abspath(sys.argv[1]) if sys.argv[1:] else ROOT)
    for line in found:
        print(line)
    print('%d found (self-test: %d planted, all seen)' %
          (len(found), len(bad)))
    sys.exit(1 if found else 0)


def check_planted(check, tree):
    with tempfile.TemporaryDirectory(prefix='portside-check-') as root:
        for path, text in tree.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, 'w', encoding='utf-8') as f:
                f.write(text)
        return check(root)
