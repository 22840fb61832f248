#!/bin/sh
# usage: swap.sh --path FILE --size SIZE [--swappiness N] [--encrypt] [--condition CONDITION]…
# A condition: part:DIRECTORY[:true], it is a mount; partsize:DIRECTORY:SIZE[:true], it is so large.
# If one does not hold there is no swap, and with true that is a failure.
path="" size="" swappiness="" encrypt=false conditions=""

say() { echo "$*" >&2; }
fail() { say "$*"; exit 1; }

# A size with K, M, G or nothing, in bytes.
bytes() {
  number=${1%[KMG]}
  case $number in '' | *[!0-9]*) fail "$1 is no size: a number, and K, M or G" ;; esac
  case $1 in
    *K) echo $((number * 1024)) ;;
    *M) echo $((number * 1048576)) ;;
    *G) echo $((number * 1073741824)) ;;
    *) echo "$number" ;;
  esac
}

while [ $# -gt 0 ]; do
  case $1 in
    --encrypt) encrypt=true ;;
    --debug) set -x ;;
    --path | --file | --size | --swappiness | --condition)
      [ $# -gt 1 ] || fail "$1 wants a value"
      case $1 in
        --size) size=$(bytes "$2") || exit 1 ;;
        --swappiness) swappiness=$2 ;;
        --condition) conditions="$conditions $2" ;;
        *) path=$2 ;;
      esac
      shift
      ;;
    *) fail "there is no option $1" ;;
  esac
  shift
done
case $path in /var/?*) ;; *) fail "--path FILE is wanted, below /var" ;; esac
[ -n "$size" ] || fail "--size SIZE is wanted"

# A condition that does not hold: the end, well or not.
give_up() {
  say "no swap: $1"
  [ "$2" != true ] || exit 1
  exit 0
}

for condition in $conditions; do
  IFS=: read -r kind where first second <<EOF
$condition
EOF
  case $kind in
    part) cut -d ' ' -f 2 /proc/mounts | grep -qxF "${where%/}" || give_up "$where is no mount" "$first" ;;
    partsize)
      least=$(bytes "$first") || exit 1
      there=$(($(df -Pk "$where" | tail -n 1 | awk '{print $2}') * 1024)) || exit 1
      [ $there -ge "$least" ] || give_up "$where is smaller than $first" "$second"
      ;;
    *) fail "there is no condition $condition" ;;
  esac
done

mkdir -p "${path%/*}" || exit 1
# What a disk has kept is used again if it is as large.
if [ "$(stat -c %s "$path" 2>/dev/null)" != "$size" ]; then
  rm -f "$path"
  (umask 077 && : >"$path") || exit 1
  if ! fallocate -l "$size" "$path" 2>/dev/null; then
    dd if=/dev/zero of="$path" bs=1M count=$(((size + 1048575) / 1048576)) 2>/dev/null ||
      { rm -f "$path"; fail "$path: there is no room for $size bytes"; }
  fi
fi
chmod 0600 "$path"

device=$path
if [ $encrypt = true ]; then
  # Opening one of these lets the kernel load the driver.
  mkdir -p /dev/mapper
  [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
  [ -e /dev/mapper/control ] || mknod /dev/mapper/control c 10 236
  # With a key that nobody keeps: what was swapped out cannot be read after the system has ended.
  { loop=$(losetup -f) && losetup "$loop" "$path"; } || fail "$path cannot be made a device"
  key=$(od -An -v -tx1 -N64 /dev/urandom | tr -d ' \n')
  # Neither file nor argument has the key.
  echo "0 $((size / 512)) crypt aes-xts-plain64 $key 0 $loop 0" |
    DM_DISABLE_UDEV=1 /usr/sbin/dmsetup create swap --gid 0 || fail "$path cannot be encrypted"
  unset key
  # With the end of its use the loop goes by itself, so that the file system can be unmounted.
  losetup -d "$loop"
  # The kernel's own name, which stays as long as the device does.
  device=/dev/dm-$(/usr/sbin/dmsetup info -c --noheadings -o minor swap)
fi
{ mkswap "$device" >/dev/null && swapon "$device"; } || fail "$path cannot be used as swap"
# And so does this.
[ $encrypt = false ] || DM_DISABLE_UDEV=1 /usr/sbin/dmsetup remove --deferred swap
if [ -n "$swappiness" ]; then
  echo "$swappiness" >/proc/sys/vm/swappiness || fail "$swappiness is no swappiness: 0 to 200"
fi
say "$((size / 1048576)) MiB of swap in $path"
