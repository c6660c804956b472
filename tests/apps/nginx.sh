#!/bin/bash
# nginx serving files of a mount, with sendfile and without, and with workers of another user.
. "$(dirname "$0")/apps.sh"
needs nginx nginx-light
needs curl

PORT=$(free_port)
export PORT

# configuration SENDFILE: everything that nginx writes is in the mount as well.
configuration() {
	cat <<-END
	daemon off; master_process on; worker_processes 2; pid $M/run/pid; error_log $M/run/error.log warn;
	$([ "$(id -u)" -ne 0 ] || echo "user www-data;")
	events { worker_connections 64; }
	http {
		sendfile $1; tcp_nopush on; default_type text/plain; access_log $M/run/access.log;
		client_body_temp_path $M/run/body; proxy_temp_path $M/run/proxy; fastcgi_temp_path $M/run/fastcgi;
		uwsgi_temp_path $M/run/uwsgi; scgi_temp_path $M/run/scgi; open_file_cache max=10; open_file_cache_valid 1s;
		server { listen 127.0.0.1:$PORT; root $M/www; autoindex on; autoindex_exact_size off;
			location /put/ { client_body_in_file_only clean; dav_methods PUT DELETE MKCOL MOVE; create_full_put_path on; } }
	}
	END
}

# What the requests answered is what is compared.
state() { (cd "$1" && find . -path ./run -prune -o -type f -print | sort | xargs sha1sum; sed 's/\[[^]]*\]//' run/access.log; ls -A run); }

export SERVE='
mkdir -p www/sub run; printf "hello\n" >www/index.txt; head -c 3000000 /dev/zero | tr "\0" x >www/big
seq 200000 >www/sub/numbers; : >www/empty; ln -s sub/numbers www/link
touch -d 2024-01-01 www/* www/sub/*; printf "%s" "$CONFIGURATION" >run/conf; mkdir -p www/put; chmod 777 www/put
nginx -c "$M/run/conf" -e "$M/run/error.log" & server=$!
until curl -s -o /dev/null "http://127.0.0.1:$PORT/"; do kill -0 $server 2>/dev/null || { echo died; cat run/error.log; exit 1; }; sleep 0.1; done
: >run/access.log
get() { curl -s -w "%{http_code} %{size_download} %{content_type}\n" -o answer "$@"; sha1sum <answer; }
get "http://127.0.0.1:$PORT/index.txt"; get "http://127.0.0.1:$PORT/big"; get "http://127.0.0.1:$PORT/sub/numbers"
get -r 1000-2000000 "http://127.0.0.1:$PORT/big"; get -r -7 "http://127.0.0.1:$PORT/sub/numbers"
get "http://127.0.0.1:$PORT/empty"; get "http://127.0.0.1:$PORT/none"; 
get "http://127.0.0.1:$PORT/link"; get "http://127.0.0.1:$PORT/sub/"; get -H "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT" "http://127.0.0.1:$PORT/index.txt"
for i in 1 2 3 4 5 6 7 8; do curl -s "http://127.0.0.1:$PORT/sub/numbers" | sha1sum & done | sort
curl -s -I "http://127.0.0.1:$PORT/index.txt" | grep -i "length\|modified\|etag"
get -T www/sub/numbers "http://127.0.0.1:$PORT/put/deep/er/file"; get "http://127.0.0.1:$PORT/put/deep/er/file"; get -X DELETE "http://127.0.0.1:$PORT/put/deep/er/file"
mv www/sub/numbers www/numbers; echo changed >www/index.txt; sleep 2.5; get "http://127.0.0.1:$PORT/index.txt"; get "http://127.0.0.1:$PORT/numbers"
kill -HUP $server; sleep 1; get "http://127.0.0.1:$PORT/big"
mv run/access.log run/old.log; kill -USR1 $server; sleep 0.5; get "http://127.0.0.1:$PORT/index.txt"; wc -l <run/access.log
kill -QUIT $server; wait $server; echo "ended $?"; rm -f answer; cat run/error.log | grep -v "signal process\|notice" | sed "s/^[^*]*//" | cut -c1-200
'
for sendfile in on off; do
	CONFIGURATION=$(configuration $sendfile)
	export CONFIGURATION
	both "nginx, sendfile $sendfile" 60 "$SERVE"
done
finish
