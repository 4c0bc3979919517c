#!/usr/bin/env bash
# Installs what the tests need and runs them all. The GPU tests want a Vulkan driver: where none is installed, a
# software one (Mesa's lavapipe) is fetched from the distribution. LIVESTACK_TEST_GPU=skip runs without.
set -euo pipefail
cd "$(dirname "$0")/.."

driver_present() {
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
        [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ]
}

if [ "${LIVESTACK_TEST_GPU:-}" != skip ] && [ "$(uname -s)" = Linux ] && ! driver_present; then
    echo "no Vulkan driver found: installing mesa-vulkan-drivers (software rendering)"
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    if command -v apt-get >/dev/null; then
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1
    elif command -v dnf >/dev/null; then
        "${as_root[@]}" dnf install -y mesa-vulkan-drivers vulkan-loader
    elif command -v pacman >/dev/null; then
        "${as_root[@]}" pacman -S --noconfirm vulkan-swrast vulkan-icd-loader
    else
        echo "install a Vulkan driver (lavapipe will do), or set LIVESTACK_TEST_GPU=skip" >&2
        exit 1
    fi
fi

# Without it the software driver complains on stderr in every test.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"

cargo test --locked "$@"
