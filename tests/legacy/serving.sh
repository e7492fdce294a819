#!/bin/bash
# Daemons that have their configuration, or what they serve, on the mount, where another host changes it.
. "$(dirname "$0")/lib.sh"
start_hosts
chmod 755 "$WORK" "$A" "$B"
port=$(free_ports 3)
get() { curl -s --max-time 10 "http://127.0.0.1:$port/$1"; }
gets() { [[ $(get "$1") == "$2" ]]; }

# nginx on B; A changes its site, tests it and renames it into place; a watcher on B has nginx reload.
site() { # ANSWER
    printf 'server { listen 127.0.0.1:%d; root %s/www; location /answer { return 200 "%s"; } }\n' "$port" "$B" "$1" \
        >"$A/nginx/.site.new" && mv "$A/nginx/.site.new" "$A/nginx/site.conf"
}
start_nginx() {
    mkdir "$A/nginx" "$A/www" && echo page >"$A/www/page" && sync_b
    printf 'user root; daemon off; pid %s/nginx.pid; error_log stderr; worker_processes 1; events { }\nhttp { access_log off; include %s/nginx/*.conf; }\n' \
        "$WORK" "$B" >"$WORK/nginx.conf"
    site first && sync_b
    start nginx nginx -c "$WORK/nginx.conf" -p "$WORK"
    NGINX=("${STARTED_ALL[@]}") STARTED_ALL=() # it serves the rows that follow, too
    eventually gets answer first
}
reloads() {
    start reload bash -c "inotifywait -m -q -e moved_to '$B/nginx' | while read -r _; do nginx -c '$WORK/nginx.conf' -p '$WORK' -s reload; done"
    watches_soon "$STARTED" "$B/nginx" || return 1
    site second && eventually gets answer second && site third && eventually gets answer third
}
pages() {
    gets page page && echo changed >"$A/www/page" && sync_b && gets page changed &&
        head -c 1000000 /dev/urandom >"$A/www/large" && sync_b && get large | cmp - "$A/www/large"
}
row nginx "starts with a site on the mount" start_nginx
row nginx "reloads when the other host replaces the site" reloads
row nginx "serves files that the other host writes" pages

# Its own inotify: --hostsdir.
dns() { [[ $(/usr/bin/python3 "$WORK/ask.py" "$((port + 1))" "$1") == "$2" ]]; }
with_dnsmasq() {
    cat >"$WORK/ask.py" <<'END'
import socket, struct, sys
query = struct.pack(">6H", 1, 256, 1, 0, 0, 0)
query += b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[2].split(".")) + b"\0" + struct.pack(">2H", 1, 1)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto(query, ("127.0.0.1", int(sys.argv[1])))
print(".".join(str(byte) for byte in sock.recv(512)[-4:]))
END
    mkdir "$A/hosts" && echo 10.0.0.1 one.test >"$A/hosts/one" && sync_b
    start dnsmasq dnsmasq -k -C /dev/null -R -h --port=$((port + 1)) --listen-address=127.0.0.1 --bind-interfaces --user=root \
        --hostsdir="$B/hosts" --pid-file="$WORK/dnsmasq.pid"
    eventually dns one.test 10.0.0.1 && echo 10.0.0.2 two.test >"$A/hosts/two" && eventually dns two.test 10.0.0.2
}
row dnsmasq "--hostsdir: hears of a host added elsewhere by itself" with_dnsmasq

# A daemon of a few lines of shell.
shell_daemon() {
    mkdir "$A/conf" && echo colour=red >"$A/conf/app" && sync_b
    cat >"$WORK/daemon" <<'END'
. "$1/conf/app"; echo "colour is $colour"
inotifywait -m -q -e close_write,moved_to "$1/conf" | while read -r _; do . "$1/conf/app"; echo "colour is $colour"; done
END
    start daemon bash "$WORK/daemon" "$B"
    watches_soon "$STARTED" "$B/conf" || return 1
    echo colour=green >"$A/conf/app" && eventually says daemon '^colour is green$' &&
        sed -i s/green/blue/ "$A/conf/app" && eventually says daemon '^colour is blue$' && ! says daemon '^colour is $'
}
row "a shell daemon" "reads its configuration again, never half of it" shell_daemon

python_serves() {
    start http /usr/bin/python3 -m http.server --bind 127.0.0.1 --directory "$B/www" $((port + 2))
    local answer
    eventually curl -sf "http://127.0.0.1:$((port + 2))/page" && echo again >"$A/www/page" && sync_b &&
        answer=$(curl -sf "http://127.0.0.1:$((port + 2))/page") && [[ $answer == again ]]
}
row "python http.server" "serves files that the other host writes" python_serves
STARTED_ALL=("${NGINX[@]}")
stop_started
finish_rows
