#!/usr/bin/env bash
# `cmake --install` into an empty prefix, moved elsewhere: the programs run, and a small program that knows only the
# installed header and pkg-config compiles against the shared and the static library.
. "$(dirname "$0")/lib.sh"

cmake --install "$HAWSER_BUILD" --prefix "$WORK/first" >"$WORK/install.log" 2>&1 || die "cmake --install"
mv "$WORK/first" "$WORK/prefix"
prefix=$WORK/prefix
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$HAWSER_BUILD/CMakeCache.txt")
sanitize=$(sed -n 's/^HAWSER_SANITIZE:STRING=//p' "$HAWSER_BUILD/CMakeCache.txt")
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$HAWSER_BUILD/CMakeCache.txt")
flags=(-Wall -Wextra -Werror ${sanitize:+-fsanitize="$sanitize"})

for file in bin/hawser bin/hawser-pki bin/kubelet-sim include/hawser/hawser.h share/doc/hawser/LICENSE \
    share/doc/hawser/README.md share/doc/hawser/docs/examples/hawser.yaml; do
    check "installed: $file" test -s "$prefix/$file"
done
equal "one header is installed" 1 "$(find "$prefix/include" -type f | wc -l)"
matches "hawser runs from there" "$version" "$("$prefix/bin/hawser" version 2>&1)"

pc=$(find "$prefix" -name hawser.pc -printf '%h')
check "a pkg-config file is installed" test -n "$pc"
export PKG_CONFIG_PATH=$pc
equal "pkg-config knows the version" "$version" "$(pkg-config --modversion hawser)"
lib=$(pkg-config --variable=libdir hawser)

cat >"$WORK/program.c" <<'PROGRAM'
#include <hawser/hawser.h>
#include <stdio.h>

int main(void)
{
    return puts(hawser_version()) < 0;
}
PROGRAM
for standard in c99 gnu17; do
    check "compiles as $standard" "$cc" -std=$standard "${flags[@]}" "$WORK/program.c" -o "$WORK/shared" \
        $(pkg-config --cflags --libs hawser)
done
equal "runs with the shared library" "$version" "$(LD_LIBRARY_PATH=$lib "$WORK/shared")"
matches "which it really uses" "libhawser.so.0 => $(readlink -f "$lib")/" "$(LD_LIBRARY_PATH=$(readlink -f "$lib") ldd "$WORK/shared")"

check "compiles against the static library" "$cc" "${flags[@]}" "$WORK/program.c" -o "$WORK/static" \
    $(pkg-config --cflags hawser) "$lib/libhawser.a" $(pkg-config --static --libs hawser | sed 's/-lhawser//')
equal "runs with the static library" "$version" "$("$WORK/static")"

exported=$(nm -D --defined-only "$lib/libhawser.so" | awk '$2 ~ /[TDBRV]/ {print $3}' | grep -v '^__\|^_init$\|^_fini$' | sort | tr '\n' ' ')
equal "only what the header declares is exported" "hawser_version " "$exported"
