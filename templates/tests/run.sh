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
#   reserve  room for the last lines when the disk is full  full     it was, when the script ended
#   mine     the upload is the loop's, not the script's     short    the log has been cut to what can be sent
#   later    its server did not take it: not so often

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
hold_max=45             # seconds at most for which the server may keep a question until there is a script; under ask_limit
hold_min=5              # … shorter ones are not worth it: halved where no answer came, a second longer where one did
timeout_default=86400   # seconds a script may take if the server does not say
unsent_max=20           # with this many results not uploaded to the server, it is asked for no other script
others_max=20           # of other servers so many results are kept, and hinder nothing
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
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)

# `<pid> <start time> <boot>` of a living process: a process id alone may be another's by now. Fails for one that ended.
identity() {
  [ -r "/proc/$1/stat" ] || return 1
  read -r stat_line 2>/dev/null < "/proc/$1/stat" || return 1
  identity_pid=$1
  # The name, in parentheses, may hold anything; after it come the state and, 19 words on, the start time.
  set -- ${stat_line##*') '}
  case $1 in Z | X) return 1 ;; esac
  shift 19
  echo "$identity_pid $1 $boot"
}

# Whether the process that a file names lives.
lives() {
  [ -s "$1" ] || return 1
  lives_line=$(cat "$1")
  lives_now=$(identity "${lives_line%% *}") || return 1
  [ "$lives_line" = "$lives_now" ]
}

# Waits so that a signal is heard at once. In the sender too, which ends here when its loop was killed.
nap() {
  sleep "$1" &
  napping=$!
  wait "$napping"
  napping=
  kill -s 0 "$$" 2>/dev/null || exit
}

# Waits longer each time; `pause` is set back where something worked.
back_off() {
  nap "$pause"
  pause=$((pause * 2))
  [ "$pause" -le "$pause_max" ] || pause=$pause_max
}

# await <seconds>: for the process `transfer`, which is ended when it takes longer. Its exit status: `awaited`. The timer
# looks once a second and ends by itself with the process: a signal to a shell that has just been made may be lost.
await() {
  (
    trap - TERM
    await_left=$1
    while [ "$await_left" -gt 0 ]; do
      sleep 1
      kill -s 0 "$transfer" || exit
      await_left=$((await_left - 1))
    done
    kill "$transfer"
  ) > /dev/null 2>&1 < /dev/null &
  timer=$!
  wait "$transfer" 2>/dev/null
  awaited=$?
  kill "$timer" 2>/dev/null
  wait "$timer" 2>/dev/null
  transfer='' timer=''
}

# ---- HTTP ------------------------------------------------------------------------------------------------------------

# Which program talks HTTP here. busybox's wget has few options and no time limit: all get the one of `request`.
choose_client() {
  on_error=
  if command -v curl > /dev/null 2>&1; then
    client=curl
    return
  fi
  command -v wget > /dev/null 2>&1 || die 'needs curl or wget'
  case $(wget --version 2>&1 < /dev/null) in
    *'GNU Wget'*) client=gnu ;;
    *) client=busybox ;;
  esac
  client_help=$(wget --help 2>&1 < /dev/null)
  case $client_help in
    *--post-file*) ;;
    *) die 'needs curl, or a wget with --post-file' ;;
  esac
  # Where it keeps what a refusal says: curl does so by itself, busybox's wget and old ones of GNU cannot.
  case $client_help in *--content-on-error*) on_error=--content-on-error ;; esac
}

# request <seconds> <URL> [<type> <file> [<header>]]: GET, or POST of the file (both empty: GET with a header). Sets
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
    gnu) set -- wget -S -t 1 -T "$ask_limit" $on_error -O "$work/body" ;;
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
  fi
  if [ -n "$request_header" ]; then
    case $client in curl) set -- "$@" -H "$request_header" ;; *) set -- "$@" --header "$request_header" ;; esac
  fi
  request_dir=${request_file%/*}
  request_errors=/dev/null
  [ "$client" = curl ] || request_errors=$work/head
  # In the background, so that it can be ended, by the timer or by a signal.
  (cd "${request_dir:-$work}" && exec "$@" "$request_url") > /dev/null 2> "$request_errors" < /dev/null &
  transfer=$!
  await "$request_limit"
  read_head
  # A refusal counts however the transfer ended; anything else has to have ended well and come whole. GNU's wget calls 416
  # a success and busybox's tells no status but in its output, so only the status line is believed.
  case $code in
    2*)
      [ "$awaited" -eq 0 ] || code=000
      [ -z "$h_length" ] || [ "$h_length" = "$(size_of "$work/body")" ] || code=000
      ;;
  esac
}

# Status and headers from what curl -D or wget -S wrote. After redirections and 1xx the last answer counts.
read_head() {
  code=000
  no_headers
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
        no_headers
        ;;
      [Xx]-[Pp]xemngr-[Rr]un:*) h_run=$head_value ;;
      [Xx]-[Pp]xemngr-[Uu]pload:*) h_upload=$head_value ;;
      [Xx]-[Pp]xemngr-[Pp]rogress:*) h_progress=$head_value ;;
      [Xx]-[Pp]xemngr-[Ee]xtend:*) h_extend=$head_value ;;
      [Xx]-[Pp]xemngr-[Tt]imeout:*) h_timeout=$head_value ;;
      [Xx]-[Pp]xemngr-[Cc]losed:*) h_closed=$head_value ;;
      [Pp]reference-[Aa]pplied:*) h_waited=$head_value ;;
      [Cc]ontent-[Tt]ype:*) h_type=$head_value ;;
      [Cc]ontent-[Ll]ength:*) h_length=$head_value ;;
    esac
  done < "$work/head"
}

no_headers() { h_run='' h_upload='' h_progress='' h_extend='' h_timeout='' h_closed='' h_waited='' h_type='' h_length=''; }

# The first line of the last answer, without line end.
answer_line() {
  answer=
  [ -f "$work/body" ] && IFS= read -r answer < "$work/body"
  answer=${answer%"$cr"}
}

# What a refusal says, for people: `said` is its first line behind a colon; empty where it has none, or is no plain text.
server_said() {
  said=
  case $h_type in text/plain*) ;; *) return 0 ;; esac
  answer_line
  said=$(printf '%.300s' "$answer" | tr -d '\000-\037\177')
  [ -z "$said" ] || said=": $said"
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
    cat "$1" > "$2" 2>/dev/null || return 1
  else
    od -An -v -to1 "$1" | LC_ALL=C awk '
      BEGIN { for (i = 0; i < 256; i++) byte[sprintf("%03o", i)] = i }
      { for (i = 1; i <= NF; i++) if ($i == "000") printf "\\x00"; else printf "%c", byte[$i] }' > "$2" 2>/dev/null || return 1
  fi
  [ "$(size_of "$2")" -eq $(($(size_of "$1") + 3 * nuls)) ]
}

# ---- a script and its processes --------------------------------------------------------------------------------------

# start <dir>: runs the script in a session of its own, where there is setsid, and comes back at once. What runs it goes
# on by itself if this loop is killed: it writes who it is, waits for the script, and writes the last line.
start() {
  set -- "$1" '
    umask "$1"
    # The shell says into the log what ended the script, also where the log takes no more.
    trap : XFSZ
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
    # Is there room for one byte more? If not, the script may have had none either.
    full=
    echo > "$dir/probe" || full=1
    rm -f "$dir/reserve" "$dir/probe"
    [ -z "$full" ] || true > "$dir/full"
    echo "X: $ended" > "$dir/status.new" && mv "$dir/status.new" "$dir/status"'
  # A signal may come when the script runs already and this shell has not got on to the next line (`stop`).
  start_before=$! starting=1
  PXEMNGR_DIR=$1 PXEMNGR_RUN=$run PXEMNGR_URL=$url $setsid sh -c "$2" sh "$mask" "$1" > /dev/null 2>&1 < /dev/null &
  runner=$! starting=
  identity "$runner" > "$1/runner.new" && mv "$1/runner.new" "$1/runner"
}

# Process ids of everything that has the run's folder in its environment, whatever session it made for itself.
marked() {
  for marked_proc in /proc/[0-9]*; do
    [ -r "$marked_proc/environ" ] || continue
    tr '\000' '\n' 2>/dev/null < "$marked_proc/environ" | grep -q -x -F -e "PXEMNGR_DIR=$1" && echo "${marked_proc#/proc/}"
  done
}

# end_group <pid>: ends what is left of the process group: TERM, and after a while KILL. Written so that every kill takes
# it: busybox's knows no --, dash's no group after -s.
end_group() {
  [ -n "$setsid" ] && is_number "$1" || return 0
  kill -TERM "-$1" 2>/dev/null || return 0
  end_left=$term_wait
  while kill -0 "-$1" 2>/dev/null; do
    [ "$end_left" -gt 0 ] || { kill -KILL "-$1" 2>/dev/null; return 0; }
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
  rm -f "$dir/stopped"
  send_progress &
  sender=$!
  while [ ! -e "$dir/status" ] && running; do
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

# Whether what runs the script lives; a process that ended but was not waited for does not.
running() { if [ -s "$dir/runner" ]; then lives "$dir/runner"; else kill -0 "$runner" 2>/dev/null; fi; }

# settle <dir> <line>: the last line of the result, unless there is one.
settle() {
  [ ! -e "$1/status" ] || return 0
  settle_full=
  { echo > "$1/probe"; } 2>/dev/null || settle_full=1
  rm -f "$1/reserve" "$1/probe"
  [ -z "$settle_full" ] || true > "$1/full"
  echo "$2" > "$1/status.new" && mv "$1/status.new" "$1/status"
}

stop_sender() {
  [ -n "$sender" ] || return 0
  true > "$dir/stopped"
  kill "$sender" 2>/dev/null
  wait "$sender" 2>/dev/null
  rm -f "$dir/stopped"
  sender=
}

# ---- more time -------------------------------------------------------------------------------------------------------

# A script may ask the server for more time (extend_url). The watchdog then has to wait as much longer: it asks for the
# server's deadline at the start and when the time is over; asking for one second more changes nothing. The difference
# of two times of the server is right whatever the clock here says. Only for scripts that name such a URL, and before they
# start, so that what they ask for is seen.
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
  true > "$work/empty"
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
  # Of this loop alone: the sender of one that was killed may still be there for a moment.
  work=$dir/sending.$$
  mkdir -p "$work" || exit
  progress=$(cat "$dir/progress")
  [ -n "$progress" ] || exit
  at=0 shift_by=0 pause=$pause_min
  true >> "$dir/log"
  exec 3< "$dir/log"
  # After a restart of this loop the server has some already.
  if [ -n "$adopted" ]; then
    progress_offset || exit
    progress_seek
  fi
  # The file as well as TERM: a signal that comes before a shell has its own trap is lost with the trap of its parent.
  while [ ! -e "$dir/stopped" ]; do
    nap "$progress_every"
    while progress_piece; do :; done
  done
}

# Takes the next piece and sends it until it has arrived. Fails where there is nothing new.
progress_piece() {
  if ! dd bs="$chunk_bytes" count=1 <&3 > "$work/piece" 2>/dev/null; then
    # No room for the piece: the same place again, later.
    progress_seek
    return 1
  fi
  [ -s "$work/piece" ] || return 1
  if [ "$client" = busybox ]; then
    if ! without_nul "$work/piece" "$work/plain" || ! mv "$work/plain" "$work/piece"; then
      progress_seek
      return 1
    fi
    shift_by=$((shift_by + 3 * nuls))
  fi
  piece_end=$((at + $(size_of "$work/piece")))
  while :; do
    request "$ask_limit" "$progress" application/octet-stream "$work/piece" "Content-Range: bytes $at-$((piece_end - 1))/*"
    answer_line
    if [ "$code" = 200 ] && [ "$answer" = "$piece_end" ]; then
      at=$piece_end pause=$pause_min
      return 0
    fi
    refused=
    case $code in
      200 | 416) ;;
      409) refused=1 ;;
      408 | 425 | 429 | 000 | 5*) back_off ;;
      *) say "run $run: the server refuses progress ($code)"; exit ;;
    esac
    # What has it really? The answer may have been lost, or come from before a restart.
    before=$at
    progress_offset || exit
    [ "$at" != "$piece_end" ] || return 0
    # Not this piece: again, unless it was refused, which it would be again.
    if [ "$at" = "$before" ]; then
      [ -z "$refused" ] || exit
      nap "$pause_min"
      continue
    fi
    # Something else: on from there.
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
        return 0
        ;;
      408 | 425 | 429) ;;
      4*) return 1 ;;
    esac
    back_off
  done
}

# Goes in the log to `at`. That is not the server's place once NULs were sent as text; then, and beyond the end of the log
# (it may have been another's), nothing more is sent: the upload brings it all.
progress_seek() {
  [ "$shift_by" -eq 0 ] && [ "$at" -le "$(size_of "$dir/log")" ] || exit
  exec 3< "$dir/log"
  [ "$at" -lt 65536 ] || dd bs=65536 count=$((at / 65536)) <&3 > /dev/null 2>&1
  [ $((at % 65536)) -eq 0 ] || dd bs=1 count=$((at % 65536)) <&3 > /dev/null 2>&1
}

# ---- the spool -------------------------------------------------------------------------------------------------------

# Room for a run, before it is asked for: what cannot be kept must not be fetched, for nobody would run it.
make_room() {
  room=$spool/.new
  # Made for the last question, and not needed: it stays, so that waiting wears no disk.
  [ ! -e "$room/whole" ] || return 0
  rm -rf "$room"
  mkdir -p "$room/work" && true > "$room/log" || return 1
  dd if=/dev/zero of="$room/reserve" bs=65536 count="$reserve_blocks" 2>/dev/null || return 1
  true > "$room/whole"
}

# keep: makes the answer in $work/body a run in the spool. Sets `dir`, and `known` if it has been here before: then it
# was started before, and is not again. The server asks for nothing else; it gives a run again if it believes that its
# answer was cut off.
keep() {
  known=
  # Ids of another server, or of one set up anew, may be the same: the token in the upload URL tells.
  keep_name=run-$h_run keep_next=1
  while [ -d "$spool/$keep_name" ]; do
    dir=$spool/$keep_name
    if [ "$(run_key "$(cat "$dir/upload")")" = "$(run_key "$h_upload")" ]; then
      known=1
      return 0
    fi
    keep_next=$((keep_next + 1))
    keep_name=run-$h_run.$keep_next
  done
  dir=$spool/$keep_name
  rm -f "$room/whole"
  mv "$work/body" "$room/script" || return 1
  for keep_word in "upload $h_upload" "progress $h_progress" "extend $h_extend" "timeout $h_timeout" "url $url" \
    "boot $boot" "began $(uptime_now)"; do
    printf '%s\n' "${keep_word#* }" > "$room/${keep_word%% *}" || return 1
  done
  to_disk "$room"
  mv "$room" "$dir" || return 1
  to_disk "$dir"
}

# What makes a run itself: its token, else its whole upload URL.
run_key() {
  case $1 in
    *[?\&]token=?*) key=${1##*[?&]token=}; echo "${key%%&*}" ;;
    *) echo "$1" ;;
  esac
}

# The run id of a folder: run-17, run-17.2.
run_of() { run=${1##*/run-} run=${run%%.*}; }

# finish <dir>: the last line goes to the end of the log. May be done again after a power cut.
finish() {
  [ ! -e "$1/whole" ] || return 0
  finish_line=$(cat "$1/status")
  rm -rf "$1"/sending.* "$1/work"
  if ! last_lines "$1"; then
    # No file may be larger (ulimit -f), or the disk is full again: what came first, and the last line.
    say "run $run: its log takes no more: only its beginning is uploaded"
    shorten "$1" 'its end could not be written, no file may be larger or the disk is full' || return 1
  fi
  to_disk "$1"
  true > "$1/whole"
}

# last_lines <dir>: the log's end, as far as it is not there yet.
last_lines() {
  if [ "$(tail -c $((${#finish_line} + 1)) "$1/log" | tr -d '\000')" != "$finish_line" ]; then
    end_line "$1/log" || return 1
    if [ -e "$1/full" ]; then
      say "run $run: the disk of $spool is full: output may be missing"
      echo "E: the disk of the machine's spool was full: output may be missing before this line" >> "$1/log" || return 1
    fi
    if [ "$client" = busybox ] && [ "$(($(tr -dc '\000' < "$1/log" | wc -c)))" -gt 0 ]; then
      echo 'I: the wget of this machine cannot send NUL bytes: each is written as \x00' >> "$1/log" || return 1
    fi
    echo "$finish_line" >> "$1/log" || return 1
  fi
}

# Ends the last line of a file, if it has one that is not ended.
end_line() {
  [ "$(($(tail -c 1 "$1" | tr -d '\n' | wc -c)))" -eq 0 ] || echo >> "$1"
}

# forget <dir>: out of the spool, whole, before its files go one by one.
forget() {
  rm -rf "$spool/.gone"
  mv "$1" "$spool/.gone" && rm -rf "$spool/.gone"
}

# set_aside <dir>: what the server will never take is kept for people; the oldest go.
set_aside() {
  mkdir -p "$spool/refused"
  rm -rf "$spool/refused/${1##*/}"
  mv "$1" "$spool/refused/" || return 1
  ls -t "$spool/refused" | sed "1,${refused_max}d" | while IFS= read -r aside_old; do rm -rf "$spool/refused/$aside_old"; done
}

# ---- uploads ---------------------------------------------------------------------------------------------------------

# Did the script upload a result of its own, as scripts did before there was this loop? Then this one must not replace it.
# Such a script names an upload URL, and its run is closed when it ends. A run may be closed for other reasons (lost,
# cancelled), so an answer that says why is believed. 0: it did · 1: it did not · 2: the server cannot be asked now.
uploaded_itself() {
  [ ! -e "$1/mine" ] && grep -q /upload/ "$1/script" || return 1
  itself_url=$(cat "$1/progress")
  [ -n "$itself_url" ] || return 1
  request "$ask_limit" "$itself_url"
  case $code/$h_closed in
    200/uploaded | 409/uploaded | 409/) return 0 ;;
    000/* | 5*/* | 408/* | 429/*)
      # With the server away when the script ended, its own upload cannot have worked; later this could not be told from
      # a run closed as lost.
      [ -n "$fresh" ] || return 2
      ;;
  esac
  true > "$1/mine"
  return 1
}

# The body of an upload, for wget: a form with one field, `file`. Checks that it has the length it must have.
make_form() {
  form_from=$1/log
  if [ "$client" = busybox ]; then
    form_from=$1/plain
    without_nul "$1/log" "$form_from" || return 1
  fi
  boundary=pxemngr-$run-$$
  while grep -q -F -e "$boundary" "$form_from"; do boundary=$boundary-x; done
  form_head="--$boundary$cr${nl}Content-Disposition: form-data; name=\"file\"; filename=\"$run.log\"$cr${nl}Content-Type: application/octet-stream$cr$nl$cr$nl"
  form_tail="$cr${nl}--$boundary--$cr$nl"
  { printf '%s' "$form_head" && cat "$form_from" && printf '%s' "$form_tail"; } > "$1/form" 2>/dev/null || return 1
  [ "$(size_of "$1/form")" -eq $((${#form_head} + $(size_of "$form_from") + ${#form_tail})) ] || return 1
  [ "$client" != busybox ] || rm -f "$1/plain"
}

# shorten <dir> <why>: of a result that cannot be sent whole, the beginning, a line that says so, and the last line.
shorten() {
  [ ! -e "$1/short" ] || return 1
  rm -f "$1/form" "$1/plain"
  shorten_size=$(size_of "$1/log")
  dd if="$1/log" of="$1/log.new" bs="$short_bytes" count=1 2>/dev/null || return 1
  end_line "$1/log.new" &&
    echo "E: only the first $short_bytes of $shorten_size bytes were uploaded: $2" >> "$1/log.new" &&
    cat "$1/status" >> "$1/log.new" &&
    true > "$1/short" &&
    mv "$1/log.new" "$1/log"
}

# deliver <dir>: one try to get a result to the server. 0: it is out of the spool · 1: later again.
deliver() {
  dir=$1 code=''
  run_of "$dir"
  finish "$dir" || { say "run $run: the last line cannot be written: $spool is full"; return 1; }
  uploaded_itself "$dir"
  case $? in
    0)
      forget "$dir"
      say "run $run: its script has uploaded the result itself"
      return 0
      ;;
    2) return 1 ;;
  esac
  deliver_file=$dir/log
  if [ "$client" != curl ]; then
    if ! make_form "$dir"; then
      shorten "$dir" 'the disk of the spool is full' && make_form "$dir" || return 1
    fi
    deliver_file=$dir/form
  fi
  request $((upload_limit + $(size_of "$deliver_file") / upload_rate)) "$(cat "$dir/upload")" form "$deliver_file"
  rm -f "$dir/form"
  answer_line
  case $code in
    200)
      if [ "$answer" = uploaded ]; then
        # Forgotten first: whoever reads the line may end the loop.
        uploaded=$(cat "$dir/status")
        forget "$dir"
        say "run $run: uploaded, $uploaded"
        return 0
      fi
      say "run $run: this is no answer of pxemngr: $answer"
      return 1
      ;;
    413)
      if shorten "$dir" 'the server takes no more (413)'; then
        deliver "$dir"
        return
      fi
      ;;
    000 | 408 | 425 | 429 | 5*)
      server_said
      say "run $run: not uploaded ($code), kept in $dir$said"
      return 1
      ;;
  esac
  server_said
  say "run $run: the server refuses the result ($code); it is kept in $spool/refused$said"
  set_aside "$dir"
}

# flush: every result in the spool, one try each; sets `unsent` to how many remain, `unsent_here` to how many of them are
# for the present server: a server that is gone for good may not stop the loop. After a server could not be reached its
# other results wait for the next flush. Those that were not taken though their server answered, and those of another
# server than the present one, are sent less and less often: a result may be large.
flush() {
  unsent=0 unsent_here=0 fresh='' flush_away=$nl flush_failed=''
  if [ "$flush_skip" -gt 0 ]; then flush_skip=$((flush_skip - 1)); fi
  for flush_dir in "$spool"/run-*; do
    [ -d "$flush_dir" ] || continue
    flush_url=$(cat "$flush_dir/url")
    case $flush_away in
      *"$nl$flush_url$nl"*) ;;
      *)
        if [ "$flush_skip" -eq 0 ] || [ ! -e "$flush_dir/later" ]; then
          ! deliver "$flush_dir" || continue
          [ "$code" != 000 ] || flush_away=$flush_away$flush_url$nl
          if [ "$code" != 000 ] || [ "$flush_url" != "$url" ]; then
            true > "$flush_dir/later"
            flush_failed=1
          fi
        fi
        ;;
    esac
    unsent=$((unsent + 1))
    [ "$flush_url" != "$url" ] || unsent_here=$((unsent_here + 1))
  done
  [ $((unsent - unsent_here)) -le "$others_max" ] || drop_others
  if [ -n "$flush_failed" ]; then
    [ "$flush_turns" -ge 16 ] || flush_turns=$((flush_turns * 2))
    flush_skip=$flush_turns
  fi
  [ "$unsent" -gt 0 ] || flush_turns=1 flush_skip=0
}

# Of the results for other servers, the oldest beyond `others_max` go, and are said to.
drop_others() {
  # By when they ended: a try to upload one changes its folder.
  (cd "$spool" && ls -t run-*/status) | while IFS= read -r drop_name; do
    drop_name=${drop_name%/status}
    drop_url=$(cat "$spool/$drop_name/url")
    [ "$drop_url" != "$url" ] || continue
    if [ "$others_max" -gt 0 ]; then others_max=$((others_max - 1)); continue; fi
    run_of "$spool/$drop_name"
    say "run $run of $drop_url: DROPPED, it could not be uploaded and is one too many: $(cat "$spool/$drop_name/status")"
    forget "$spool/$drop_name"
  done
  unsent=$((unsent_here + others_max))
}

# ---- from start to end -----------------------------------------------------------------------------------------------

# What an earlier loop left: a script that still runs is waited for; one that was cut off gets a last line that says so.
recover() {
  rm -rf "$spool/.gone" "$spool/.new"
  for recover_dir in "$spool"/run-*; do
    [ -d "$recover_dir" ] && [ ! -e "$recover_dir/status" ] || continue
    run_of "$recover_dir"
    if lives "$recover_dir/runner"; then
      say "run $run: its script still runs"
      adopted=1
      supervise "$recover_dir"
      adopted=
      continue
    fi
    if [ -n "$boot" ] && [ "$(cat "$recover_dir/boot" 2>/dev/null)" = "$boot" ]; then
      end_tree "$recover_dir" "$(sed 's/ .*//' "$recover_dir/runner" 2>/dev/null)"
      recover_why='its script was ended from outside, together with the loop'
    else
      recover_why='the machine rebooted before the script had ended'
    fi
    say "run $run: interrupted: $recover_why"
    settle "$recover_dir" "E: interrupted: $recover_why"
  done
}

# One loop for a spool. A lock whose owner does not live is taken over.
lock() {
  lock_dir=$spool/lock
  lock_new=$spool/.lock.$$
  rm -rf "$lock_new"
  mkdir "$lock_new" || die "cannot write in $spool"
  { identity $$ || echo "$$"; } > "$lock_new/owner"
  lock_tries=3
  # A rename of a folder onto one that is not empty fails: who comes first has it.
  until rename_to "$lock_new" "$lock_dir"; do
    if lives "$lock_dir/owner" || [ "$lock_tries" -eq 0 ]; then
      rm -rf "$lock_new"
      die "another loop uses $spool"
    fi
    lock_tries=$((lock_tries - 1))
    rename_to "$lock_dir" "$spool/.lock.old.$$" && rm -rf "$spool/.lock.old.$$"
  done
}

# mv of a folder to a name. Where that name has just become another's folder, mv went into it: out again.
rename_to() {
  [ ! -e "$2" ] && mv "$1" "$2" 2>/dev/null || return 1
  [ ! -e "$2/${1##*/}" ] || { mv "$2/${1##*/}" "$1"; return 1; }
}

# A signal ends the script too, and leaves its result in the spool for the next start.
stop() {
  trap '' TERM INT HUP
  [ -z "$starting" ] || [ "$!" = "$start_before" ] || runner=$!
  for stop_pid in $transfer $timer $napping; do kill "$stop_pid" 2>/dev/null; done
  stop_sender
  if [ -n "$runner" ]; then
    end_tree "$dir" "$runner"
    settle "$dir" "E: ended: the loop was stopped by SIG$1"
    to_disk "$dir"
  fi
  say "stopped by SIG$1"
  rm -rf "$lock_dir" "$work"
  exit "$2"
}

# ask: for the next script. A server that can do so answers only when there is one, or `hold` seconds are over (RFC 7240):
# an idle machine then asks once in a while, and has its script at once. One that cannot, or has a wait.test of the site's
# own to hand out, answers as it always did. Not while results wait for their upload, which comes before each question.
ask() {
  ask_header=
  if [ -z "$once" ] && [ "$unsent" -eq 0 ] && [ "$hold" -ge "$hold_min" ]; then ask_header="Prefer: wait=$hold"; fi
  ask_began=$(uptime_now)
  request "$ask_limit" "$url/nexttest/" '' '' "$ask_header"
  case $code in
    # A second longer each time; half as long where the answer was waited for in vain, and not just a server that is away.
    200) [ "$hold" -ge "$hold_max" ] || hold=$((hold + 1)) ;;
    000 | 408 | 5*) [ -z "$ask_header" ] || ! has_waited "$hold_min" || hold=$((hold / 2)) ;;
  esac
}

# Whether the last question took so many seconds, or nobody can tell.
has_waited() { ask_ended=$(uptime_now) && [ -n "$ask_began" ] || return 0; [ $((ask_ended - ask_began)) -ge "$1" ]; }

# After an answer without a run: a script such as wait.test, for which nothing is kept or uploaded, is run, unless the
# server has done the waiting. It is never asked again at once.
run_wait() {
  if [ -n "$h_waited" ] && [ -n "$ask_began" ] && has_waited "$wait_gap"; then return; fi
  sleep "$wait_gap" &
  napping=$!
  if [ -z "$h_waited" ]; then
    sh "$work/body" >&2 < /dev/null &
    transfer=$!
    await "$wait_limit"
  fi
  wait "$napping"
  napping=
}

# The run in $dir, from its start to its upload.
run_script() {
  run_of "$dir"
  say "run $run: starts"
  extension_start
  start "$dir"
  supervise "$dir"
  fresh=1 pause=$pause_min deliver_try=1
  until deliver "$dir"; do
    [ "$deliver_try" -lt "$tries_max" ] || return 0
    deliver_try=$((deliver_try + 1))
    back_off
  done
}

# usable: whether the last answer can be run, and sets what it lacks. A page of some proxy is not run as a script.
usable() {
  case $h_type in *html*) return 1 ;; esac
  [ -n "$h_run" ] || h_run=0
  is_number "$h_run" || return 1
  [ "$h_run" -ne 0 ] || return 0
  case $h_upload in http://?* | https://?*) ;; *) return 1 ;; esac
  is_number "$h_timeout" && [ "$h_timeout" -gt 0 ] || h_timeout=$timeout_default
}

# For --once: ends the loop, saying whether something is left.
end_once() {
  flush_skip=0
  flush
  rm -rf "$lock_dir" "$work" "$spool/.new"
  [ "$unsent" -eq 0 ] && exit "$1"
  say "$unsent not uploaded, kept in $spool"
  exit 1
}

usage() {
  echo 'Usage: run.sh [--once] [--spool DIR] URL' >&2
  exit 2
}

main() {
  once='' spool='' url=''
  while [ $# -gt 0 ]; do
    case $1 in
      --once) once=1 ;;
      --spool) [ $# -gt 1 ] && [ -n "$2" ] || usage; spool=$2; shift ;;
      --spool=?*) spool=${1#*=} ;;
      http://?* | https://?*) [ -z "$url" ] || usage; url=$1 ;;
      *) usage ;;
    esac
    shift
  done
  [ -n "$url" ] || usage
  while [ "$url" != "${url%/}" ]; do url=${url%/}; done

  choose_client
  setsid=
  ! command -v setsid > /dev/null 2>&1 || setsid=setsid
  mask=$(umask)
  umask 077
  if [ -z "$spool" ]; then
    if [ "$(id -u 2>/dev/null || echo 0)" = 0 ]; then spool=/var/spool/pxemngr
    elif [ -n "${XDG_STATE_HOME:-$HOME}" ]; then spool=${XDG_STATE_HOME:-$HOME/.local/state}/pxemngr-loop
    else die 'where is the spool? Neither XDG_STATE_HOME nor HOME is set: --spool DIR'
    fi
  fi
  mkdir -p "$spool" && spool=$(cd "$spool" && pwd) || die "cannot make $spool"
  lock
  adopted='' fresh='' runner='' starting='' sender='' transfer='' timer='' napping='' run='' dir=''
  trap 'stop TERM 143' TERM
  trap 'stop INT 130' INT
  trap 'stop HUP 129' HUP
  # Where no file may be larger (ulimit -f), writing fails instead of ending the loop; a script has it as it was.
  trap : XFSZ
  # Of this loop alone: a transfer of one that was killed may still write.
  rm -rf "$spool"/.work.*
  work=$spool/.work.$$
  mkdir -p "$work" || die "cannot write in $spool"

  recover
  pause=$pause_min flush_turns=1 flush_skip=0 tries=0 last='' hold=$hold_max
  while :; do
    flush
    if [ "$unsent_here" -ge "$unsent_max" ]; then
      trouble "$unsent_here results are not uploaded: asks for nothing more"
    elif ! make_room; then
      trouble "no room in $spool: asks for nothing"
    else
      ask
      if [ "$code" != 200 ]; then
        server_said
        trouble "$url/nexttest/ gives no script ($code)$said"
      elif ! usable; then
        trouble "$url/nexttest/ answers something else than a script"
      elif [ "$h_run" -eq 0 ]; then
        pause=$pause_min last=''
        [ -z "$once" ] || end_once 0
        run_wait
      elif ! keep; then
        trouble "run $h_run cannot be kept: $spool is full"
      elif [ -n "$known" ]; then
        trouble "run $h_run was started before and is not again"
      else
        last=''
        run_script
        pause=$pause_min
        [ -z "$once" ] || end_once 0
      fi
    fi
  done
}

# trouble <what>: says it, once as long as it stays the same, and waits.
trouble() {
  [ "$1" = "$last" ] || say "$1"
  last=$1
  tries=$((tries + 1))
  if [ -n "$once" ] && [ "$tries" -ge "$tries_max" ]; then end_once 1; fi
  back_off
}

# The last line, so that a download that was cut off does nothing.
main "$@"
