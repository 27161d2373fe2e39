# What the scripts share: the packages carat needs, how it is built and how it is tested. Sourced by bash.
# All that is said here goes to stderr: stdout belongs to carat, and to the results of the tests.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd -P)
export CCACHE_BASEDIR=$root  # lets a second checkout use what the first one compiled

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$*"; exit 1; }

# The one list of Debian packages: to build, and what the tests and scripts/check need besides.
packages_build=(g++ cmake ninja-build pkg-config libcli11-dev libsentencepiece-dev libxsimd-dev nlohmann-json3-dev
                libspdlog-dev catch2 libpcre2-dev libedit-dev)
packages_test=(python3 jq dpkg-dev file python3-pexpect python3-numpy python3-jsonschema python3-pyte)
packages_package=(dpkg-dev file gzip)
packages_check=(clang clang-format)
packages_fuzz=(clang libclang-rt-dev)

# need_packages PACKAGE…: installs those that are missing, or says what to run and ends the script.
need_packages() {
  command -v dpkg-query >/dev/null || return 0  # not Debian: CMake will name what it cannot find
  local installed package missing=()
  installed=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' "$@" 2>/dev/null)" || true
  for package; do
    [[ $installed == *" $package=installed "* ]] || missing+=("$package")
  done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

install_packages() {
  local as_root=() log=$root/build/packages.log
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || fail "packages are missing; run: sudo apt-get install --no-install-recommends $*"
    as_root=(sudo -n)
  fi
  # A machine that has just started may be updating itself: wait for its lock.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
  say "installing $*"
  mkdir -p "$root/build"
  {
    "${apt[@]}" update || true  # the lists of last time may do
    "${apt[@]}" install -y --no-install-recommends "$@"
  } </dev/null >"$log" 2>&1 || { cat "$log" >&2; fail "could not install $*"; }
}

# build NAME [TARGET…]: brings build/NAME up to date. NAME is a preset, or one of the two strict builds of scripts/check.
build() {
  mkdir -p "$root/build/$1"
  {
    flock 9  # carat may be started twice at once, and ninja does not lock
    configure "$1"
    compile "$@"
  } 9>"$root/build/$1/lock"
}

configure() {
  local dir=$root/build/$1 options
  case $1 in
    strict) options=(--preset release -DCARAT_WERROR=ON -DCARAT_PRECOMPILE=OFF) ;;
    clang) options=(--preset release -DCARAT_WERROR=ON -DCARAT_PRECOMPILE=OFF -DCMAKE_CXX_COMPILER=clang++) ;;
    *) options=(--preset "$1") ;;
  esac
  # Ninja itself sees to a changed CMakeLists.txt, but never reads the presets, nor this file.
  [[ $dir/build.ninja -nt $root/CMakePresets.json && $dir/build.ninja -nt $root/scripts/lib.sh ]] && return
  say "configuring build/$1"
  export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-$(command -v ccache)}
  (cd "$root" && cmake "${options[@]}" -B "$dir") </dev/null >"$dir/configure.log" 2>&1 ||
    { cat "$dir/configure.log" >&2; fail "cmake failed"; }
}

# Shows progress on a terminal; elsewhere only what the compilers say.
compile() {
  if [[ -t 2 ]]; then
    ninja -C "$root/build/$1" "${@:2}" </dev/null >&2
  else
    ninja -C "$root/build/$1" --quiet "${@:2}" </dev/null | sed '/^ninja: no work to do\.$/d' >&2
  fi || fail "build/$1 did not build"
}

# run_tests NAME [CTEST ARGUMENT…]: runs the tests of build/NAME and closes with "N passed, N failed, N skipped".
run_tests() {
  local dir=$root/build/$1 results=$root/build/$1/tests.xml status=0 all passed skipped
  rm -f "$results"
  ctest --test-dir "$dir" -j "$(nproc)" --output-on-failure --no-tests=error --output-junit "$results" "${@:2}" \
    </dev/null || status=$?
  all=$(grep -c '<testcase ' "$results") || return "$status"  # none ran: asked to list them, or none is there
  passed=$(grep -c '<testcase .* status="run"' "$results") || true
  # A test whose program cannot be started is "notrun" too, but not skipped: it has failed.
  skipped=$(grep -cE '<skipped message="SKIP_|<testcase .* status="disabled"' "$results") || true
  echo
  echo "$passed passed, $((all - passed - skipped)) failed, $skipped skipped"
  return "$status"
}
