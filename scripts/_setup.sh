# What demo, test and check have in common; they read it in. It goes to the root of the repository and makes
# the virtual environment .venv there, or brings it up to date after pyproject.toml changed. Plain sh.

set -eu
cd "$(dirname "$0")/.."

say() { echo "${0##*/}: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs a Debian package, if we may; false otherwise.
apt_install() {
  command -v apt-get >/dev/null && as_root true 2>/dev/null || return 1
  say "installing the system package $1"
  get="as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=60"
  { $get install -y --no-install-recommends "$1" ||
    { $get update && $get install -y --no-install-recommends "$1"; }; } >/dev/null 2>&1
}

find_python() {
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
  done
  fail "Python 3.11 or newer is needed: please install python3"
}

make_venv() {
  find_python
  package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  rm -rf .venv
  "$python" -m venv .venv >/dev/null 2>&1 && return
  apt_install "$package" || fail "Python's venv module is missing: please install $package"
  rm -rf .venv
  "$python" -m venv .venv
}

# A virtual environment works only where it was made, and only as long as its Python is there.
grep -qsF "$(pwd -P)/.venv" .venv/pyvenv.cfg && .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv

stamp="$(cksum <pyproject.toml)"
if [ "$stamp" != "$(cat .venv/installed 2>/dev/null)" ]; then
  say "installing the Python packages into .venv; the first time this takes a minute or two"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
  echo "$stamp" >.venv/installed
fi
