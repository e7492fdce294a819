/* rename(2) and renameat2(2) in all their cases. */
#include "tests/mount/posix/posix.h"

static void set_up(void)
{
    put("file", "file");
    put("other", "other");
    mkdir("empty", 0755);
    mkdir("full", 0755);
    put("full/x", "x");
    mkdir("full/sub", 0755);
    symlink("file", "link");
    symlink("empty", "dirlink");
    symlink("none", "dangling");
    symlink("loop", "loop");
}

static void files(void)
{
    set_up();
    CALL(rename("none", "new"));
    CALL(rename("file", "new"));
    see_text("new");
    CALL(rename("new", "other"));
    see_text("other");
    CALL(rename("other", "other"));
    see_text("other");
    CALL(rename("other", "empty"));
    CALL(rename("other", "full"));
    CALL(rename("other", "full/x"));
    see_text("full/x");
    CALL(rename("full/x", "x"));
    CALL(rename("x", "none/x"));
    CALL(rename("x", "full/sub/none/x"));
    CALL(rename("x", ""));
    CALL(rename("", "x"));
    CALL(rename("x", "y/"));
    CALL(rename("x/", "y"));
    CALL(rename("x", "dirlink"));
    see("dirlink");
    see_list(".");
    see_list("full");
}

static void directories(void)
{
    set_up();
    CALL(rename("empty", "new"));
    CALL(rename("new/", "empty/"));
    CALL(rename("empty", "empty"));
    CALL(rename("full", "file"));
    CALL(rename("full", "empty"));
    see_list("empty");
    CALL(mkdir("full", 0755));
    CALL(rename("full", "empty"));
    CALL(rename("empty", "empty/sub/below"));
    CALL(rename("empty", "empty/below"));
    CALL(rename("empty/sub", "empty"));
    CALL(rename("empty/sub", "empty/sub"));
    CALL(rename("empty/.", "new"));
    CALL(rename("full", "."));
    CALL(rename("full", ".."));
    CALL(rename("full", "empty/.."));
    CALL(rename(".", "new"));
    CALL(rename("..", "new"));
    CALL(rename("full", "link"));
    CALL(rename("full", "dirlink"));
    CALL(rename("full", "dangling"));
    CALL(rename("full", "new/"));
    see(".");
    see("new");
    CALL(rename("empty/sub", "sub"));
    see(".");
    see("empty");
    see_list(".");
}

static void symlinks(void)
{
    char text[64];
    set_up();
    CALL(rename("link", "moved"));
    CALL(readlink("moved", text, sizeof text));
    CALL(rename("moved", "file"));
    see("file");
    CALL(rename("dangling", "dangling2"));
    CALL(rename("loop", "loop2"));
    CALL(rename("loop2/x", "y"));
    CALL(rename("other", "loop2"));
    see_text("loop2");
    CALL(rename("dirlink", "empty"));
    CALL(rename("dirlink/", "new"));
    CALL(rename("full", "dirlink/"));
    CALL(rename("full/x", "dirlink/x"));
    see_list("empty");
    see_list(".");
}

static int flagged(const char *from, const char *to, unsigned flags)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void without_replacing(void)
{
    set_up();
    CALL(flagged("file", "new", RENAME_NOREPLACE));
    CALL(flagged("new", "other", RENAME_NOREPLACE));
    CALL(flagged("new", "empty", RENAME_NOREPLACE));
    CALL(flagged("new", "dangling", RENAME_NOREPLACE));
    CALL(flagged("new", "new", RENAME_NOREPLACE));
    CALL(flagged("none", "new2", RENAME_NOREPLACE));
    CALL(flagged("empty", "full", RENAME_NOREPLACE));
    CALL(flagged("empty", "full/below", RENAME_NOREPLACE));
    CALL(flagged("full", "full/below2", RENAME_NOREPLACE));
    see_list(".");
    see_list("full");
}

static void exchanges(void)
{
    set_up();
    CALL(flagged("file", "other", RENAME_EXCHANGE));
    see_text("file");
    see_text("other");
    CALL(flagged("file", "full", RENAME_EXCHANGE));
    see_text("full");
    see_list("file");
    CALL(flagged("full", "none", RENAME_EXCHANGE));
    CALL(flagged("none", "full", RENAME_EXCHANGE));
    CALL(flagged("full", "full", RENAME_EXCHANGE));
    CALL(flagged("file", "file/sub", RENAME_EXCHANGE));
    CALL(flagged("file/sub", "file", RENAME_EXCHANGE));
    CALL(flagged("link", "full", RENAME_EXCHANGE));
    see("link");
    see("full");
    CALL(flagged("file/x", "empty", RENAME_EXCHANGE));
    see("file");
    see(".");
    CALL(flagged("link", "new", RENAME_EXCHANGE | RENAME_NOREPLACE));
    CALL(flagged("link", "new", 0x80));
    CALL(flagged("link", "white", RENAME_WHITEOUT));
    see_list(".");
    see_list("file");
}

/* What is open goes with the name. */
static void open_ones(void)
{
    set_up();
    int file = open("file", O_RDWR), dir = open("full", O_RDONLY);
    CALL(rename("file", "full/file"));
    CALL(write(file, "FI", 2));
    CALL(close(file));
    see_text("full/file");
    CALL(rename("full", "elsewhere"));
    OPENS(openat(dir, "x", O_RDONLY));
    CALL(mkdirat(dir, "new", 0755));
    CALL(chdir("elsewhere/sub"));
    CALL(rename("../../elsewhere", "../../full"));
    see_list("..");
    int replaced = open("../x", O_RDONLY);
    char text[8] = "";
    CALL(rename("../file", "../x"));
    see_fd("the replaced one", replaced);
    CALL(read(replaced, text, sizeof text));
    see_text("../x");
}

static void times(void)
{
    set_up();
    struct mark here = mark("."), full = mark("full"), file = mark("file"), sub = mark("full/sub");
    CALL(rename("file", "full/file"));
    moved("the old directory", ".", here);
    moved("the new directory", "full", full);
    moved("the file", "full/file", file);
    CALL(rename("full/sub", "sub"));
    moved("the moved directory", "sub", sub);
    here = mark(".");
    file = mark("full/file");
    CALL(rename("full/file", "other"));
    moved("the directory where one was replaced", ".", here);
    moved("what replaced it", "other", file);
    struct mark other = mark("other"), full_now = mark("full");
    CALL(flagged("other", "full", RENAME_EXCHANGE));
    moved("the exchanged file", "full", other);
    moved("the exchanged directory", "other", full_now);
    here = mark(".");
    CALL(rename("full", "full"));
    moved("the directory where nothing changed", ".", here);
}

const struct cases rename_groups[] = {
    {"rename", files},
    {"rename-dir", directories},
    {"rename-symlink", symlinks},
    {"noreplace", without_replacing},
    {"exchange", exchanges},
    {"rename-open", open_ones},
    {"rename-times", times},
    {NULL, NULL},
};
