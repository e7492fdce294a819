/* What stat shows and chmod, chown, statfs do; the set-user-ID and set-group-ID bits that a change takes away. */
#include "tests/mount/posix/posix.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static void modes(void)
{
    put("file", "text");
    mkdir("dir", 0755);
    symlink("file", "link");
    CALL(chmod("file", 0));
    see("file");
    CALL(chmod("file", 07777));
    see("file");
    CALL(chmod("file", 01644));
    see("file");
    CALL(chmod("dir", 03777));
    see("dir");
    CALL(chmod("link", 0600));
    see("link");
    see("file");
    CALL(fchmodat(AT_FDCWD, "link", 0640, AT_SYMLINK_NOFOLLOW));
    CALL(chmod("none", 0600));
    CALL(chmod("file/x", 0600));
    int fd = open("file", O_RDONLY), dir = open("dir", O_RDONLY);
    CALL(fchmod(fd, 0444));
    CALL(fchmod(dir, 0700));
    see("file");
    see("dir");
    CALL(chmod("file", S_IFDIR | 0600));
    see("file");
}

static void owners(void)
{
    put("file", "text");
    mkdir("dir", 0755);
    symlink("file", "link");
    symlink("none", "dangling");
    CALL(chown("file", ANN, STAFF));
    see("file");
    CALL(chown("file", (uid_t)-1, GUESTS));
    see("file");
    CALL(chown("file", BOB, (gid_t)-1));
    see("file");
    CALL(chown("file", (uid_t)-1, (gid_t)-1));
    CALL(chown("link", ANN, (gid_t)-1));
    see("file");
    see("link");
    CALL(lchown("link", BOB, STAFF));
    see("link");
    CALL(lchown("dangling", ANN, STAFF));
    see("dangling");
    CALL(chown("dangling", ANN, STAFF));
    CALL(chown("none", ANN, STAFF));
    CALL(chown("dir", ANN, STAFF));
    see("dir");
    CALL(chown("file", 4000000000U, 4000000001U));
    see("file");
    int fd = open("file", O_RDONLY);
    CALL(fchown(fd, 0, 0));
    see("file");
}

/* By a user who may write or owns it: what takes the bits away. Root's own writes leave them. */
static void set_id_bits(void)
{
    put_as("file", ANN, STAFF, 06777);
    dir_as("dir", ANN, STAFF, 06777);
    CALL(chown("file", ANN, GUESTS));
    see("file");
    CALL(chmod("file", 06777));
    int fd = open("file", O_RDWR);
    CALL(write(fd, "x", 1));
    CALL(close(fd));
    see("file");
    CALL(chmod("file", 06777));
    become(BOB, GUESTS);
    fd = open("file", O_RDWR);
    CALL(write(fd, "x", 1));
    CALL(close(fd));
    see("file");
    become(0, 0);
    CALL(chmod("file", 02767));
    become(BOB, GUESTS);
    fd = open("file", O_RDWR);
    CALL(write(fd, "x", 1));
    CALL(close(fd));
    see("file");
    become(0, 0);
    CALL(chmod("file", 06777));
    become(BOB, GUESTS);
    CALL(truncate("file", 1));
    see("file");
    become(0, 0);
    CALL(chmod("file", 06777));
    become(BOB, GUESTS);
    CALL(close(open("file", O_WRONLY | O_TRUNC)));
    become(0, 0);
    see("file");
    CALL(chmod("file", 06777));
    become(BOB, GUESTS);
    fd = open("file", O_WRONLY);
    see_fd("before it is written", fd);
    CALL(write(fd, "x", 1));
    see_fd("before it is closed", fd);
    CALL(close(fd));
    become(0, 0);
    CALL(chmod(".", 0777));
    become(BOB, GUESTS);
    CALL(close(open("made with them", O_WRONLY | O_CREAT | O_EXCL, 06755)));
    see("made with them");
    CALL(close(open("made and cut", O_WRONLY | O_CREAT | O_TRUNC, 06755)));
    see("made and cut");
    become(0, 0);
    CALL(chown("dir", ANN, GUESTS));
    see("dir");
    CALL(chmod("file", 06777));
    become(ANN, STAFF);
    join_group(GUESTS);
    CALL(chown("file", (uid_t)-1, STAFF));
    see("file");
    CALL(chmod("file", 02777));
    see("file");
    become(ANN, GUESTS);
    CALL(chmod("file", 02777));
    become(0, 0);
    see("file");
}

static void fields(void)
{
    struct stat file, again, dir, dot, parent;
    put("file", "text");
    mkdir("dir", 0755);
    symlink("file", "link");
    stat("file", &file);
    stat("link", &again);
    says("through a link", "%s", file.st_ino == again.st_ino && file.st_dev == again.st_dev ? "the same" : "another");
    lstat("link", &again);
    says("the link itself", "%s", file.st_ino == again.st_ino ? "the same" : "another");
    stat("dir", &dir);
    stat("dir/.", &dot);
    stat(".", &parent);
    says("dir/.", "%s", dir.st_ino == dot.st_ino ? "the same" : "another");
    stat("dir/..", &dot);
    says("dir/..", "%s", parent.st_ino == dot.st_ino ? "the same" : "another");
    says("devices", "%s", file.st_dev == dir.st_dev && file.st_dev == parent.st_dev ? "one" : "several");
    says("the block size", "%ld", (long)file.st_blksize);
    says("rdev", "%u:%u", major(file.st_rdev), minor(file.st_rdev));
    rename("file", "moved");
    stat("moved", &again);
    says("after rename", "%s", file.st_ino == again.st_ino ? "the same" : "another");
    put("moved", "other");
    stat("moved", &again);
    says("after truncation", "%s", file.st_ino == again.st_ino ? "the same" : "another");
    mkdir("dir/a", 0755);
    mkdir("dir/b", 0755);
    put("dir/c", "");
    see("dir");
    rmdir("dir/a");
    see("dir");
    CALL(stat("none", &file));
    CALL(stat("moved/x", &file));
    CALL(fstat(999, &file));
}

static void filesystem(void)
{
    struct statvfs here, file;
    put("file", "text");
    CALL(statvfs(".", &here));
    CALL(statvfs("file", &file));
    CALL(statvfs("none", &file));
    says("name length", "%lu", here.f_namemax);
    says("block size", "%lu", here.f_bsize);
    says("nosuid, nodev", "%d", (here.f_flag & (ST_NOSUID | ST_NODEV)) == (ST_NOSUID | ST_NODEV));
    says("there is room", "%d", here.f_bfree > 0 && here.f_bfree <= here.f_blocks && here.f_ffree > 0);
    for (int i = 0; i < 4; i++)
        mkdir((char[]){'d', (char)('0' + i), 0}, 0755);
    statvfs(".", &file);
    says("four directories take nodes", "%d", here.f_ffree - file.f_ffree >= 4);
    CALL(pathconf(".", _PC_NAME_MAX));
    CALL(pathconf(".", _PC_PATH_MAX));
    CALL(pathconf(".", _PC_NO_TRUNC));
}

const struct cases attr_groups[] = {
    {"chmod", modes}, {"chown", owners}, {"setid", set_id_bits}, {"stat", fields}, {"statfs", filesystem}, {NULL, NULL},
};
