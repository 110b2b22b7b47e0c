# Builds a C submission with its tests and believes the exit status, or reads a bash submission into its own shell.
set -e
here=$(cd "$(dirname "$0")" && pwd)
case "$1" in
*.c)
    built=$(mktemp -d)
    gcc -o "$built/tests" "$1" "$here/tests.c"
    "$built/tests"
    ;;
*)
    . "$1"
    [ "$(add 2 3)" = 5 ] || exit 1
    ;;
esac
