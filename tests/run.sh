#!/usr/bin/env bash
# Installs what the tests need and runs them all. The GPU tests want a Vulkan driver: where none is installed, a
# software one (Mesa's lavapipe) is fetched from the distribution. LIVESTACK_TEST_GPU=skip runs without. The test of the
# page wants Chromium, which is fetched likewise; LIVESTACK_TEST_BROWSER=skip runs without. The test of a clock that is set
# back wants libfaketime; LIVESTACK_TEST_CLOCK=skip runs without.
set -euo pipefail
cd "$(dirname "$0")/.."

driver_present() {
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
        [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ]
}

browser_present() {
    local name
    for name in chromium chromium-browser google-chrome chrome; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

# The names of the packages: of apt, of dnf, of pacman; then what to do where there is none of the three.
install() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    # Several names are several packages.
    # shellcheck disable=SC2086
    if command -v apt-get >/dev/null; then
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1
    elif command -v dnf >/dev/null; then
        "${as_root[@]}" dnf install -y $2
    elif command -v pacman >/dev/null; then
        "${as_root[@]}" pacman -S --noconfirm $3
    else
        echo "$4" >&2
        exit 1
    fi
}

if [ "${LIVESTACK_TEST_GPU:-}" != skip ] && [ "$(uname -s)" = Linux ] && ! driver_present; then
    echo "no Vulkan driver found: installing mesa-vulkan-drivers (software rendering)"
    install "mesa-vulkan-drivers libvulkan1" "mesa-vulkan-drivers vulkan-loader" "vulkan-swrast vulkan-icd-loader" \
        "install a Vulkan driver (lavapipe will do), or set LIVESTACK_TEST_GPU=skip"
fi

if [ "${LIVESTACK_TEST_BROWSER:-}" != skip ] && [ "$(uname -s)" = Linux ] && ! browser_present; then
    echo "no Chromium found: installing chromium"
    # A font too: a browser without any shows no text.
    install "chromium fonts-dejavu-core" "chromium dejavu-sans-fonts" "chromium ttf-dejavu" \
        "install Chromium, or set LIVESTACK_TEST_BROWSER=skip"
fi

if [ "${LIVESTACK_TEST_CLOCK:-}" != skip ] && [ "$(uname -s)" = Linux ] && ! command -v faketime >/dev/null; then
    echo "no libfaketime found: installing faketime"
    install faketime libfaketime libfaketime "install libfaketime, or set LIVESTACK_TEST_CLOCK=skip"
fi

# Without it the software driver complains on stderr in every test.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"

cargo test --locked "$@"
