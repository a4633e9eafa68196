#!/bin/sh
# Stands for cargo: it chooses the version that is asked for, and what it "builds" is the lane of the program under test.
# FAKE says how it fails, for versions that end in .99.0 or all.
set -e
echo "$*" >>"$FAKE_LOG"
# Puts the replaced crate into the lockfile, as cargo does: it was taken out of it.
patch() {
    revision=$(sed -n 's/.*\(rev\|branch\) = "\([^"]*\)" }/\2/p' "$1")
    key=$(sed -n 's/.*, \(rev\|branch\) = .*/\1/p' "$1")
    if [ "$key" = rev ] && [ "$revision" = main ] || [ "$revision" = nowhere ]; then
        echo "error: failed to load source for dependency \`tokio\`" >&2
        printf '\nCaused by:\n  revspec not found\n' >&2
        exit 101
    fi
    printf '\n[[package]]\nname = "tokio"\nversion = "1.50.1"\n' >>Cargo.lock
    [ -z "$key" ] || echo "source = \"git+https://example.org/tokio?$key=$revision#0123456789abcdef0123456789abcdef01234567\"" >>Cargo.lock
}
command=$1
package=tokio
version=$(sed -n "s/^$package = { version = \"=\([^\"]*\)\".*/\1/p" Cargo.toml 2>/dev/null || true)
mode=$FAKE
case $version in
*.99.0) mode=no-version ;;
*.98.0) mode=compiler ;;
esac
case $command in
metadata)
    for manifest; do :; done
    [ -f "${manifest%/Cargo.toml}/tokio/Cargo.toml" ] && {
        printf '{"packages":[{"name":"tokio","manifest_path":"%s/tokio/Cargo.toml","dependencies":[]}]}\n' "${manifest%/Cargo.toml}"
        exit
    }
    printf '{"packages":[{"name":"other","manifest_path":"/nowhere/Cargo.toml","dependencies":[]}]}\n'
    ;;
update)
    case $mode in
    no-version)
        echo "    Updating crates.io index" >&2
        echo "error: failed to select a version for the requirement \`tokio = \"=$version\"\`" >&2
        echo "candidate versions found which didn't match: 1.54.1, 1.53.3, ..." >&2
        exit 101
        ;;
    no-network)
        printf 'error: failed to get `rustix` as a dependency of package `x`\n\nCaused by:\n  ' >&2
        echo "download of config.json failed" >&2
        exit 101
        ;;
    offline)
        echo "error: failed to select a version for \`tokio\`." >&2
        exit 101
        ;;
    esac
    if grep -q '^\[patch' Cargo.toml; then
        patch Cargo.toml
        exit
    fi
    [ "$mode" = ignore ] || sed "/^name = \"$package\"\$/{n;s/.*/version = \"$version\"/}" Cargo.lock >Cargo.lock.new
    [ "$mode" = ignore ] || mv Cargo.lock.new Cargo.lock
    ;;
build)
    echo "   Compiling $package v$version" >&2
    case $mode in
    compiler)
        printf 'error[E0432]: unresolved import `tokio::x`\n --> src/lib.rs:1:5\n' >&2
        echo "error: could not compile \`rtswap-tokio\` (lib) due to 1 previous error" >&2
        exit 101
        ;;
    full)
        printf 'error: failed to write `/x`\n\nCaused by:\n  No space left on device (os error 28)\n' >&2
        exit 101
        ;;
    slow) sleep 60 ;;
    slowly) sleep 1 ;;
    esac
    mkdir -p target
    printf '#!/bin/sh\n# %s %s\nexec "%s" lane "$1"\n' "$version" "$FAKE_SALT" "$FAKE_LANE" >target/rtswap-lane
    chmod +x target/rtswap-lane
    printf '{"reason":"compiler-artifact","target":{"name":"rtswap-lane"},"executable":"%s"}\n' "$PWD/target/rtswap-lane"
    ;;
esac
