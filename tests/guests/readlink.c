/* readlink, readlinkat: texts, lengths, errors. */
#include "guest.h"

static char buf[PATH_MAX + 1];

static void texts(void)
{
	static const char *const names[] = {
		"links/rel", "links/dirlink", "links/dangling", "links/self", "links/up", "links/slash", "links/long",
		"links/abs", "links/out", "hello.txt", "dir", "missing", "missing/x", "hello.txt/x", "links/rel/",
		"links/dirlink/", "links/loop1/x", "",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		long n;

		memset(buf, '#', sizeof(buf));
		n = sys(readlink, P(names[i]), buf, sizeof(buf));
		printf("%s: %s\n", names[i], n < 0 ? err_name(errno) : "ok");
		if (n >= 0) {
			show_data("text", buf, n);
			printf("next byte %c\n", buf[n]);
		}
	}
}

int main(int argc, char **argv)
{
	int dir, link, plain;
	char *end;

	guest_init(argc, argv);
	texts();
	section("lengths");
	memset(buf, '#', sizeof(buf));
	SHOW(sys(readlink, P("links/rel"), buf, 1));
	show_data("one", buf, 2);
	SHOW(sys(readlink, P("links/rel"), buf, 12));
	show_data("exact", buf, 13);
	SHOW(sys(readlink, P("links/rel"), buf, 0));
	SHOW(sys(readlink, P("links/rel"), buf, -1L));
	SHOW(sys(readlink, P("links/rel"), buf, 0x80000000L));
	SHOW(sys(readlink, P("missing"), buf, 0));
	SHOW(sys(readlink, P("hello.txt"), buf, 0));
	SHOW(sys(readlink, P("hello.txt"), NULL, 0));

	section("at");
	dir = SHOWFD(sys(open, P("links"), O_RDONLY));
	link = SHOWFD(sys(open, P("links/rel"), O_PATH | O_NOFOLLOW));
	plain = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));
	SHOW(sys(readlinkat, dir, "rel", buf, 100));
	SHOW(sys(readlinkat, dir, "../links/l2", buf, 100));
	SHOW(sys(readlinkat, dir, "", buf, 100));
	memset(buf, '#', sizeof(buf));
	SHOW(sys(readlinkat, link, "", buf, 100));
	show_data("by O_PATH", buf, 14);
	SHOW(sys(readlinkat, plain, "", buf, 100));
	SHOW(sys(readlinkat, plain, "x", buf, 100));
	SHOW(sys(readlinkat, -1, "rel", buf, 100));
	SHOW(sys(readlinkat, -1, P("links/rel"), buf, 100));
	SHOW(sys(readlinkat, AT_FDCWD, "", buf, 100));
	SHOW(chdir(P("links")));
	SHOW(sys(readlink, "rel", buf, 100));
	SHOW(sys(readlinkat, AT_FDCWD, "./rel", buf, 100));

	section("faults");
	end = edge(5);
	SHOW(sys(readlink, "rel", NULL, 100));
	SHOW(sys(readlink, "rel", BAD_KERNEL, 100));
	SHOW(sys(readlink, "rel", readonly_page(), 100));
	SHOW(sys(readlink, "rel", end, 100));
	SHOW(sys(readlink, "rel", end, 5));
	show_data("five", end, 5);
	SHOW(sys(readlink, NULL, buf, 100));
	SHOW(sys(readlink, BAD_LOW, buf, 100));
	SHOW(sys(readlinkat, dir, BAD_KERNEL, buf, 100));
	SHOW(sys(readlink, "../hello.txt", NULL, 100));
	return 0;
}
