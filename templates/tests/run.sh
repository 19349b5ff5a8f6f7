#!/bin/sh
# The loop for a machine under test: asks pxemngr for a script, runs it under a watchdog, uploads what it wrote, asks again.
#
#   wget -qO- http://SERVER:8000/script/run.sh | sh -s -- http://SERVER:8000
#   run.sh [--once] [--spool DIR] URL
#
#   --once       one script at most, and do not wait where there is none; exit 0: nothing is left to upload, 1: something is
#   --spool DIR  where runs are kept until their upload; default /var/spool/pxemngr as root, else
#                ${XDG_STATE_HOME:-$HOME/.local/state}/pxemngr-loop. On a disk they outlive a reboot
#
# POSIX sh and the tools of a busybox initramfs: cat dd grep kill ls mkdir mv rm sed sleep tail tr wc, and curl or wget
# (GNU's or busybox's). Better with sync, setsid and /proc. The clock is never looked at: it may be wrong, and may step.
#
# What a script gets: the shell it names after #! (else sh), an empty folder to work in, no input, and the variables
# PXEMNGR_LOOP=1, PXEMNGR_RUN (its id) and PXEMNGR_URL. What it writes, both streams, is the result, and the last line is
#   X: <exit status>        (77: skipped)        or      E: <why it has no exit status>
# When it ends, what it left running in its process group is ended too; what has to stay calls setsid and redirects.
#
# A run in the spool is a folder run-<id>. It is written whole and synced, gets its name, and only then its script starts:
# a run that has a folder is never started again, whatever happens. Its files:
#   script upload progress extend timeout url boot   what the server sent; base URL; the boot it was started in
#   log      output so far, in the end the result          runner   process id, start time and boot of what runs the script
#   status   the last line, once the script has ended      whole    the last line is in the log; only the upload is left
#   reserve  room for the last lines when the disk is full

# ---- limits, all in one place ----------------------------------------------------------------------------------------

progress_every=3        # seconds between two looks for new output
chunk_bytes=262144      # longest piece of output in one progress request
pause_min=2             # seconds to the next try while the server is away; doubles
pause_max=60            # … up to this
tries_max=5             # tries of an upload, or of a question with --once, before the loop goes on with something else
ask_limit=60            # seconds a small request may take
upload_limit=120        # seconds an upload may take, and besides:
upload_rate=16384       # … one second for this many bytes
term_wait=5             # seconds between TERM and KILL
wait_gap=3              # seconds at least between two questions
wait_limit=86400        # seconds a script without a run (wait.test) may take
timeout_default=86400   # seconds a script may take if the server does not say
unsent_max=20           # with this many results not uploaded, no other script is asked for
refused_max=8           # results that the server refused are kept, this many
short_bytes=65536       # of a result that is too large for server or disk, this much is sent
reserve_blocks=4        # blocks of 64 KiB kept free for the last lines

cr=$(printf '\r')
nl='
'

# ---- small things ----------------------------------------------------------------------------------------------------

# One line for whoever looks.
say() { printf 'run.sh: %s\n' "$*" >&2; }

# Wrong usage, or nothing to work with.
die() { say "$1"; exit "${2:-1}"; }

# Bytes of a file, as a bare number; 0 where there is none.
size_of() { if [ -f "$1" ]; then echo $(($(wc -c < "$1"))); else echo 0; fi; }

# Onto the disk: the files of a folder, the folder, the folder around it. Old ones take no names and sync everything.
to_disk() { sync "$1"/* "$1" "$spool" 2>/dev/null || sync 2>/dev/null || :; }

# Seconds since the machine started, where that can be known; a step of the clock does not change it.
uptime_now() {
  [ -r /proc/uptime ] || return 1
  read -r uptime_line < /proc/uptime || return 1
  echo "${uptime_line%%.*}"
}

# A word that differs from boot to boot; empty where the kernel has none.
boot_now() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || :; }

# `<pid> <start time> <boot>` of a living process: a process id alone may be another's by now. Fails for one that ended.
identity() {
  [ -r "/proc/$1/stat" ] || return 1
  read -r stat_line 2>/dev/null < "/proc/$1/stat" || return 1
  identity_pid=$1
  # The name, in parentheses, may hold anything; after it come the state and, 19 words on, the start time.
  set -- ${stat_line##*') '}
  case $1 in Z | X) return 1 ;; esac
  shift 19
  echo "$identity_pid $1 $(boot_now)"
}

# Whether the process that a file names lives.
lives() {
  [ -s "$1" ] || return 1
  lives_line=$(cat "$1")
  lives_now=$(identity "${lives_line%% *}") || return 1
  [ "$lives_line" = "$lives_now" ]
}

# Waits so that a signal is heard at once.
nap() {
  sleep "$1" &
  napping=$!
  wait "$napping"
  napping=
}

# Waits longer each time; `pause` is set back where something worked.
back_off() {
  nap "$pause"
  pause=$((pause * 2))
  [ "$pause" -le "$pause_max" ] || pause=$pause_max
}

# ---- HTTP ------------------------------------------------------------------------------------------------------------

# Which program talks HTTP here. busybox's wget has few options and no time limit: all get the one of `request`.
choose_client() {
  if command -v curl > /dev/null 2>&1; then
    client=curl
    return
  fi
  command -v wget > /dev/null 2>&1 || die 'needs curl or wget'
  case $(wget --version 2>&1 < /dev/null) in
    *'GNU Wget'*) client=gnu ;;
    *) client=busybox ;;
  esac
  case $(wget --help 2>&1 < /dev/null) in
    *--post-file*) ;;
    *) die 'needs curl, or a wget with --post-file' ;;
  esac
}

# request <seconds> <URL> [<type> <file> [<header>]]: GET, or POST of the file. Sets
#   code    status of the last answer; 000: none, or not whole
#   h_…     its headers that matter here, empty where absent
# and leaves the answer in $work/body.
request() {
  request_limit=$1 request_url=$2 request_type=$3 request_file=$4 request_header=$5
  rm -f "$work/body" "$work/head"
  case $client in
    # -q: no .curlrc; -g: [ ] { } in a URL mean themselves; Expect: would cost a second a request on old servers.
    curl) set -- curl -q -g -sS -D "$work/head" -o "$work/body" -H 'Expect:' ;;
    # One try of its own, for the loop has its own; headers go to stderr.
    gnu) set -- wget -S -t 1 -T "$ask_limit" -O "$work/body" ;;
    busybox) set -- wget -S -O "$work/body" ;;
  esac
  if [ -n "$request_file" ]; then
    case $client/$request_type in
      # curl makes the form by itself, from a name in the folder of the file: a path may hold what -F takes for its own.
      curl/form) set -- "$@" -F "file=@${request_file##*/};type=application/octet-stream" ;;
      curl/*) set -- "$@" -H "Content-Type: $request_type" --data-binary "@$request_file" ;;
      */form) set -- "$@" --header "Content-Type: multipart/form-data; boundary=$boundary" --post-file "$request_file" ;;
      *) set -- "$@" --header "Content-Type: $request_type" --post-file "$request_file" ;;
    esac
    if [ -n "$request_header" ]; then
      case $client in curl) set -- "$@" -H "$request_header" ;; *) set -- "$@" --header "$request_header" ;; esac
    fi
  fi
  request_dir=${request_file%/*}
  request_errors=/dev/null
  [ "$client" = curl ] || request_errors=$work/head
  # In the background, so that it can be ended, by the timer or by a signal.
  (cd "${request_dir:-$work}" && exec "$@" "$request_url") > /dev/null 2> "$request_errors" < /dev/null &
  transfer=$!
  (
    trap 'kill "$timer_nap" 2>/dev/null; exit' TERM
    sleep "$request_limit" &
    timer_nap=$!
    wait "$timer_nap"
    kill "$transfer"
  ) > /dev/null 2>&1 < /dev/null &
  timer=$!
  wait "$transfer" 2>/dev/null
  request_status=$?
  kill "$timer" 2>/dev/null
  wait "$timer" 2>/dev/null
  transfer='' timer=''
  read_head
  # A refusal counts however the transfer ended; anything else has to have ended well and come whole. GNU's wget calls 416
  # a success and busybox's tells no status but in its output, so only the status line is believed.
  case $code in
    2*)
      [ "$request_status" -eq 0 ] || code=000
      [ -z "$h_length" ] || [ "$h_length" = "$(size_of "$work/body")" ] || code=000
      ;;
  esac
}

# Status and headers from what curl -D or wget -S wrote. After redirections and 1xx the last answer counts.
read_head() {
  code=000
  [ -f "$work/head" ] || return 0
  while IFS= read -r head_line || [ -n "$head_line" ]; do
    head_line=${head_line%"$cr"}
    head_line=${head_line#"${head_line%%[! ]*}"}
    head_value=${head_line#*:}
    head_value=${head_value# }
    case $head_line in
      HTTP/[0-9]*)
        code=${head_line#* }
        code=${code%% *}
        h_run='' h_upload='' h_progress='' h_extend='' h_timeout='' h_closed='' h_type='' h_length=''
        ;;
      [Xx]-[Pp]xemngr-[Rr]un:*) h_run=$head_value ;;
      [Xx]-[Pp]xemngr-[Uu]pload:*) h_upload=$head_value ;;
      [Xx]-[Pp]xemngr-[Pp]rogress:*) h_progress=$head_value ;;
      [Xx]-[Pp]xemngr-[Ee]xtend:*) h_extend=$head_value ;;
      [Xx]-[Pp]xemngr-[Tt]imeout:*) h_timeout=$head_value ;;
      [Xx]-[Pp]xemngr-[Cc]losed:*) h_closed=$head_value ;;
      [Cc]ontent-[Tt]ype:*) h_type=$head_value ;;
      [Cc]ontent-[Ll]ength:*) h_length=$head_value ;;
    esac
  done < "$work/head"
}

# The first line of the last answer, without line end.
answer_line() {
  answer=
  [ -f "$work/body" ] && IFS= read -r answer < "$work/body"
  answer=${answer%"$cr"}
}

# Whether a word is a number that the shell can count with.
is_number() {
  case $1 in
    '' | *[!0-9]* | ????????????????*) return 1 ;;
  esac
}

# busybox's wget sends a file up to its first NUL. There each NUL becomes the four characters \x00; every other byte stays.
# without_nul <from> <to>: sets `nuls` to how many there were; fails where the copy has not the length it must have.
without_nul() {
  nuls=$(($(tr -dc '\000' < "$1" | wc -c)))
  if [ "$nuls" -eq 0 ]; then
    cat "$1" > "$2" || return 1
  else
    od -An -v -to1 "$1" | LC_ALL=C awk '
      BEGIN { for (i = 0; i < 256; i++) byte[sprintf("%03o", i)] = i }
      { for (i = 1; i <= NF; i++) if ($i == "000") printf "\\x00"; else printf "%c", byte[$i] }' > "$2" || return 1
  fi
  [ "$(size_of "$2")" -eq $(($(size_of "$1") + 3 * nuls)) ]
}

# ---- a script and its processes --------------------------------------------------------------------------------------

# start <dir>: runs the script in a session of its own, where there is setsid, and comes back at once. What runs it goes
# on by itself if this loop is killed: it writes who it is, waits for the script, and writes the last line.
start() {
  set -- "$1" '
    umask "$1"
    dir=$2
    # As the kernel reads it: program, and its argument.
    read -r first < "$dir/script" || :
    case $first in
      "#!"*) set -f; set -- ${first#"#!"}; set +f ;;
      *) set -- sh ;;
    esac
    cd "$dir/work" || exit 1
    PXEMNGR_LOOP=1 PXEMNGR_RUN=$PXEMNGR_RUN PXEMNGR_URL=$PXEMNGR_URL "$@" "$dir/script" >> "$dir/log" 2>&1 < /dev/null
    ended=$?
    umask 077
    rm -f "$dir/reserve"
    echo "X: $ended" > "$dir/status.new" && mv "$dir/status.new" "$dir/status"'
  PXEMNGR_DIR=$1 PXEMNGR_RUN=$run PXEMNGR_URL=$url $setsid sh -c "$2" sh "$mask" "$1" > /dev/null 2>&1 < /dev/null &
  runner=$!
  identity "$runner" > "$1/runner.new" && mv "$1/runner.new" "$1/runner"
}

# Process ids of everything that has the run's folder in its environment, whatever session it made for itself.
marked() {
  for marked_proc in /proc/[0-9]*; do
    [ -r "$marked_proc/environ" ] || continue
    tr '\000' '\n' 2>/dev/null < "$marked_proc/environ" | grep -q -x -F -e "PXEMNGR_DIR=$1" && echo "${marked_proc#/proc/}"
  done
}

# end_group <pid>: ends what is left of the process group: TERM, and after a while KILL.
end_group() {
  [ -n "$setsid" ] && is_number "$1" || return 0
  kill -s TERM -- "-$1" 2>/dev/null || return 0
  end_left=$term_wait
  while kill -s 0 -- "-$1" 2>/dev/null; do
    [ "$end_left" -gt 0 ] || { kill -s KILL -- "-$1" 2>/dev/null; return 0; }
    end_left=$((end_left - 1))
    sleep 1
  done
}

# end_tree <dir> <pid>: ends the group, and what left it. Twice, for a process may fork while it is being looked for.
end_tree() {
  end_pids=$(marked "$1")
  for end_pid in $2 $end_pids; do kill -s TERM "$end_pid" 2>/dev/null; done
  end_group "$2"
  for end_round in 1 2 3; do
    end_pids=$(marked "$1")
    [ -n "$end_pids" ] || return 0
    [ "$end_round" -gt 1 ] || { nap 1; continue; }
    for end_pid in $end_pids; do kill -s KILL "$end_pid" 2>/dev/null; done
  done
}

# supervise <dir>: until the script has ended, or its time is over. Sends progress beside it.
supervise() {
  dir=$1
  runner=$(cat "$dir/runner" 2>/dev/null || echo "$runner")
  runner=${runner%% *}
  limit=$(cat "$dir/timeout")
  began=$(cat "$dir/began" 2>/dev/null)
  elapsed=0
  send_progress &
  sender=$!
  extension_start
  while [ ! -e "$dir/status" ] && kill -0 "$runner" 2>/dev/null; do
    sleep 1
    # The machine's own seconds; where it tells none, the turns of this loop.
    if up=$(uptime_now) && [ -n "$began" ]; then elapsed=$((up - began)); else elapsed=$((elapsed + 1)); fi
    [ "$elapsed" -ge "$limit" ] || continue
    extension_ask
    [ "$elapsed" -ge "$limit" ] || continue
    [ ! -e "$dir/status" ] || break
    say "run $run: the watchdog ends the script after ${limit}s"
    end_tree "$dir" "$runner"
    settle "$dir" "E: ended by the watchdog after ${limit}s"
  done
  stop_sender
  end_group "$runner"
  settle "$dir" 'E: ended: the script was killed together with what ran it'
  runner=
}

# settle <dir> <line>: the last line of the result, unless there is one.
settle() {
  [ ! -e "$1/status" ] || return 0
  rm -f "$1/reserve"
  echo "$2" > "$1/status.new" && mv "$1/status.new" "$1/status"
}

stop_sender() {
  [ -n "$sender" ] || return 0
  kill "$sender" 2>/dev/null
  wait "$sender" 2>/dev/null
  sender=
}

# ---- more time -------------------------------------------------------------------------------------------------------

# A script may ask the server for more time (extend_url). The watchdog then has to wait as much longer: it asks for the
# server's deadline at the start and when the time is over; asking for one second more changes nothing. The difference
# of two times of the server is right whatever the clock here says. Only for scripts that name such a URL.
extension_start() {
  ! grep -q /extend/ "$dir/script" || [ -s "$dir/deadline" ] || ! extension_deadline || echo "$deadline" > "$dir/deadline"
}

extension_ask() {
  [ -s "$dir/deadline" ] || return 0
  for extension_try in 1 2 3; do
    if extension_deadline; then
      limit=$(($(cat "$dir/timeout") + deadline - $(cat "$dir/deadline")))
      return 0
    fi
    [ ! -e "$dir/status" ] || return 0
    nap "$pause_min"
  done
}

# Sets `deadline`: the server's, in seconds since 1970; fails if it says none.
extension_deadline() {
  extend=$(cat "$dir/extend")
  [ -n "$extend" ] || return 1
  case $extend in *\?*) extend="$extend&for=1s" ;; *) extend="$extend?for=1s" ;; esac
  : > "$work/empty"
  request "$ask_limit" "$extend" application/octet-stream "$work/empty"
  [ "$code" = 200 ] || return 1
  answer_line
  case $answer in
    [0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]*) ;;
    *) return 1 ;;
  esac
  answer_time=${answer#*T}
  y=${answer%%-*}
  answer=${answer#*-}
  # 1 before each, so that 08 is no octal number.
  m=$((1${answer%%-*} - 100))
  answer=${answer#*-}
  d=$((1${answer%%T*} - 100))
  hour=$((1${answer_time%%:*} - 100))
  answer_time=${answer_time#*:}
  minute=$((1${answer_time%%:*} - 100))
  answer_time=${answer_time#*:}
  second=$((1${answer_time%"${answer_time#??}"} - 100))
  # Days since 1970, counted in years that begin in March: the leap day is the last of its year.
  [ "$m" -gt 2 ] && m=$((m - 3)) || { m=$((m + 9)); y=$((y - 1)); }
  days=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 719469))
  deadline=$((((days * 24 + hour) * 60 + minute) * 60 + second))
}

# ---- progress --------------------------------------------------------------------------------------------------------

# Sends new output of $dir/log, in a process of its own, until it is ended or the server takes no more. `at` is what the
# server has. The log is read on from where it was, never again from its start.
send_progress() {
  trap 'kill $transfer $timer $napping 2>/dev/null; exit' TERM
  trap '' INT HUP
  transfer='' timer='' napping=''
  work=$dir/sending
  mkdir -p "$work" || exit
  progress=$(cat "$dir/progress")
  [ -n "$progress" ] || exit
  at=0 shift_by=0 pause=$pause_min
  : >> "$dir/log"
  exec 3< "$dir/log"
  # After a restart of this loop the server has some already.
  [ ! -e "$dir/resumed" ] || progress_offset || exit
  while :; do
    nap "$progress_every"
    while progress_piece; do :; done
  done
}

# Takes the next piece and sends it until it has arrived. Fails where there is nothing new.
progress_piece() {
  dd bs="$chunk_bytes" count=1 <&3 > "$work/piece" 2>/dev/null || return 1
  [ -s "$work/piece" ] || return 1
  if [ "$client" = busybox ]; then
    without_nul "$work/piece" "$work/plain" || return 1
    mv "$work/plain" "$work/piece" || return 1
    shift_by=$((shift_by + nuls))
  fi
  piece_end=$((at + $(size_of "$work/piece")))
  while :; do
    request "$ask_limit" "$progress" application/octet-stream "$work/piece" "Content-Range: bytes $at-$((piece_end - 1))/*"
    answer_line
    if [ "$code" = 200 ] && [ "$answer" = "$piece_end" ]; then
      at=$piece_end pause=$pause_min
      return 0
    fi
    case $code in
      200 | 409 | 416) ;;
      4*) say "run $run: the server refuses progress ($code)"; exit ;;
      *) back_off ;;
    esac
    # What has it really? Its answer may have been lost, or another end may have sent.
    before=$at
    progress_offset || exit
    [ "$at" != "$piece_end" ] || return 0
    # Not this piece: again. Somewhere else: on from there, if the bytes are those of the log.
    [ "$at" != "$before" ] || { nap "$pause_min"; continue; }
    [ "$shift_by" -eq 0 ] || exit
    progress_seek
    return 0
  done
}

# Sets `at` to what the server has, however long it is away; fails where it takes nothing more.
progress_offset() {
  while :; do
    request "$ask_limit" "$progress"
    answer_line
    case $code in
      200)
        [ -z "$h_closed" ] && is_number "$answer" || return 1
        at=$answer
        [ ! -e "$dir/resumed" ] || { rm -f "$dir/resumed"; progress_seek; }
        return 0
        ;;
      4*) return 1 ;;
    esac
    back_off
  done
}

# Moves on in the log to `at`. Beyond its end (it may have been another's) nothing is sent any more.
progress_seek() {
  [ "$at" -le "$(size_of "$dir/log")" ] || exit
  exec 3< "$dir/log"
  [ "$at" -lt 65536 ] || dd bs=65536 count=$((at / 65536)) <&3 > /dev/null 2>&1
  [ $((at % 65536)) -eq 0 ] || dd bs=1 count=$((at % 65536)) <&3 > /dev/null 2>&1
}
