/* Permissions, as several users and groups: files, directories, sticky and set-group-ID directories, umask. */
#include "tests/mount/posix/posix.h"

/* Everything that one can try with a file "f" in a directory "d". */
static void try_all(void)
{
    struct stat seen;
    char text[8];
    CALL(access("d/f", R_OK));
    CALL(access("d/f", W_OK));
    CALL(access("d/f", X_OK));
    CALL(faccessat(AT_FDCWD, "d/f", R_OK, AT_EACCESS));
    CALL(faccessat(AT_FDCWD, "d/f", W_OK, AT_EACCESS));
    CALL(stat("d/f", &seen));
    OPENS(open("d/f", O_RDONLY));
    OPENS(open("d/f", O_WRONLY));
    OPENS(open("d/f", O_RDONLY | O_TRUNC));
    OPENS(open("d/f", O_RDWR | O_CREAT, 0644));
    OPENS(open("d", O_RDONLY | O_DIRECTORY));
    CALL(truncate("d/f", 4));
    CALL(chmod("d/f", 0666));
    CALL(utimensat(AT_FDCWD, "d/f", NULL, 0));
    CALL(utimensat(AT_FDCWD, "d/f", (struct timespec[]){{1, 0}, {1, 0}}, 0));
    CALL(chown("d/f", BOB, (gid_t)-1));
    CALL(chown("d/f", (uid_t)-1, GUESTS));
    CALL(readlink("d/l", text, sizeof text));
    OPENS(open("d/new", O_WRONLY | O_CREAT, 0644));
    CALL(mkdir("d/newdir", 0755));
    CALL(symlink("x", "d/newlink"));
    CALL(rename("d/f", "d/g"));
    CALL(rename("d/g", "d/f"));
    CALL(unlink("d/l"));
    CALL(rmdir("d/sub"));
}

static void prepare(mode_t dir, mode_t file)
{
    become(0, 0);
    unlink("d/f");
    unlink("d/l");
    unlink("d/new");
    unlink("d/newlink");
    rmdir("d/newdir");
    rmdir("d/sub");
    rmdir("d");
    dir_as("d", ANN, STAFF, 0755);
    put_as("d/f", ANN, STAFF, file);
    symlink("f", "d/l");
    lchown("d/l", ANN, STAFF);
    dir_as("d/sub", ANN, STAFF, 0755);
    CALL(chmod("d", dir));
}

static void as_owner(void)
{
    prepare(0755, 0644);
    become(ANN, STAFF);
    try_all();
    prepare(0755, 0);
    become(ANN, STAFF);
    try_all();
    prepare(0077, 0077);
    become(ANN, STAFF);
    try_all();
}

static void as_group(void)
{
    prepare(0775, 0664);
    become(BOB, STAFF);
    try_all();
    prepare(0750, 0640);
    become(BOB, GUESTS);
    join_group(STAFF);
    try_all();
    prepare(0707, 0606);
    become(BOB, STAFF);
    try_all();
}

static void as_other(void)
{
    prepare(0755, 0644);
    become(BOB, GUESTS);
    try_all();
    prepare(0777, 0666);
    become(BOB, GUESTS);
    try_all();
    prepare(0711, 0600);
    become(BOB, GUESTS);
    try_all();
    prepare(0744, 0644);
    become(BOB, GUESTS);
    try_all();
}

static void as_root(void)
{
    prepare(0, 0);
    become(0, 0);
    try_all();
    put_as("x", ANN, STAFF, 0100);
    CALL(access("x", X_OK));
}

static void sticky(void)
{
    dir_as("tmp", 0, 0, 01777);
    put_as("tmp/ann", ANN, STAFF, 0666);
    put_as("tmp/bob", BOB, STAFF, 0666);
    dir_as("tmp/dir", ANN, STAFF, 0777);
    become(BOB, STAFF);
    CALL(unlink("tmp/ann"));
    CALL(rename("tmp/ann", "tmp/x"));
    CALL(rename("tmp/bob", "tmp/ann"));
    CALL(rmdir("tmp/dir"));
    CALL(rename("tmp/bob", "tmp/dir/bob"));
    CALL(rename("tmp/dir/bob", "tmp/bob"));
    CALL(renameat2(AT_FDCWD, "tmp/bob", AT_FDCWD, "tmp/ann", RENAME_EXCHANGE));
    OPENS(open("tmp/ann", O_WRONLY | O_TRUNC));
    CALL(unlink("tmp/bob"));
    CALL(chmod("tmp", 0777));
    become(0, 0);
    CALL(chown("tmp", ANN, STAFF));
    put_as("tmp/bob", BOB, STAFF, 0600);
    become(ANN, GUESTS);
    CALL(rename("tmp/bob", "tmp/bob2"));
    CALL(unlink("tmp/bob2"));
    CALL(rmdir("tmp/dir"));
}

static void set_group_id(void)
{
    dir_as("shared", ANN, STAFF, 02777);
    become(BOB, GUESTS);
    put("shared/file", "x");
    see("shared/file");
    CALL(mkdir("shared/dir", 0755));
    see("shared/dir");
    CALL(mkdir("shared/dir/below", 0700));
    see("shared/dir/below");
    CALL(symlink("x", "shared/link"));
    see("shared/link");
    CALL(mknod("shared/node", S_IFREG | 0600, 0));
    see("shared/node");
    OPENS(open("shared/setgid", O_WRONLY | O_CREAT, 02775));
    see("shared/setgid");
    OPENS(open("shared/setuid", O_WRONLY | O_CREAT, 04775));
    see("shared/setuid");
    CALL(chmod("shared/dir", 0755));
    see("shared/dir");
    become(0, 0);
    OPENS(open("shared/by-root", O_WRONLY | O_CREAT, 02775));
    see("shared/by-root");
}

static void masks(void)
{
    static const mode_t values[] = {0, 027, 077, 0777, 0111};
    char file[8], dir[8];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        file[0] = 'f', dir[0] = 'd';
        file[1] = dir[1] = (char)('0' + i);
        file[2] = dir[2] = 0;
        umask(values[i]);
        OPENS(open(file, O_RDWR | O_CREAT, 0666));
        see(file);
        CALL(mkdir(dir, 0777));
        see(dir);
        file[0] = 'n';
        CALL(mknod(file, S_IFREG | 0666, 0));
        see(file);
        file[0] = 'l';
        CALL(symlink("x", file));
        see(file);
    }
    umask(077);
    CALL(chmod("f0", 0666));
    see("f0");
}

/* A descriptor keeps what it was opened with. */
static void kept_rights(void)
{
    char text[8];
    put_as("file", ANN, STAFF, 0600);
    become(ANN, STAFF);
    int fd = open("file", O_RDWR), ro = OPENS(open("new", O_RDWR | O_CREAT | O_EXCL, 0400));
    become(0, 0);
    dir_as("private", ANN, STAFF, 0700);
    put_as("private/x", ANN, STAFF, 0644);
    int dir = open("private", O_RDONLY);
    become(ANN, STAFF);
    CALL(chmod("file", 0));
    OPENS(open("file", O_RDONLY));
    become(BOB, GUESTS);
    CALL(read(fd, text, 4));
    CALL(write(fd, "more", 4));
    CALL(ftruncate(fd, 2));
    CALL(fchmod(fd, 0666));
    CALL(ftruncate(ro, 2));
    OPENS(openat(dir, "x", O_RDONLY));
    OPENS(open("private/x", O_RDONLY));
    CALL(close(fd));
    become(0, 0);
    see("file");
}

const struct cases access_groups[] = {
    {"owner", as_owner},      {"group", as_group}, {"other", as_other},   {"root", as_root}, {"sticky", sticky},
    {"setgid", set_group_id}, {"umask", masks},    {"kept", kept_rights}, {NULL, NULL},
};
