/* Key files: a line that says what they are, then 32 bytes in hex a line. */
#include "replica/net/link.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char replica_title[] = "pactfs replica key 1";
static const char mount_title[] = "pactfs mount key 1";

enum { HEX_BYTES = 2 * LINK_KEY_BYTES, FILE_BYTES = 256 };
enum { DERIVE_PSK = 1, DERIVE_STATIC };

static int fail(int err, const char *path, const char *why, char *text, size_t text_len)
{
    snprintf(text, text_len, "%s: %s", path, why);
    return err;
}

static int fail_errno(const char *path, char *text, size_t text_len)
{
    const int number = errno;
    fail(ERR_IO, path, strerror(number), text, text_len);
    switch (number) {
    case EEXIST:
        return ERR_EXISTS;
    case ENOENT:
        return ERR_NO_NODE;
    case ENOTDIR:
        return ERR_NOT_DIR;
    case EACCES:
    case EPERM:
        return ERR_ACCESS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    default:
        return ERR_IO;
    }
}

/* Everything a replica holds, from its seed. */
static void derive(const uint8_t seed[LINK_KEY_BYTES], struct link_keys *keys)
{
    static const char context[crypto_kdf_CONTEXTBYTES + 1] = "pactkeys";
    *keys = (struct link_keys){.present = true, .replica = true};
    crypto_kdf_derive_from_key(keys->psk, LINK_KEY_BYTES, DERIVE_PSK, context, seed);
    crypto_kdf_derive_from_key(keys->secret_key, LINK_KEY_BYTES, DERIVE_STATIC, context, seed);
    crypto_scalarmult_base(keys->public_key, keys->secret_key);
}

void keys_between(const struct link_keys *keys, uint32_t low, uint32_t high, struct link_keys *to)
{
    uint8_t seed[LINK_KEY_BYTES];
    const uint32_t pair[] = {htole32(low), htole32(high)};
    *to = (struct link_keys){0};
    if (!keys->present)
        return;
    assert(keys->replica && low < high);
    crypto_generichash(seed, sizeof seed, (const uint8_t *)pair, sizeof pair, keys->secret_key,
                       sizeof keys->secret_key);
    derive(seed, to);
    sodium_memzero(seed, sizeof seed);
}

/* --- writing --- */

static int write_file(const char *path, const char *content, char *text, size_t text_len)
{
    const size_t len = strlen(content);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(path, text, text_len);
    int err = ERR_OK;
    if (write(fd, content, len) != (ssize_t)len || fchmod(fd, 0600) != 0 || fsync(fd) != 0)
        err = fail_errno(path, text, text_len);
    close(fd);
    if (err != ERR_OK)
        unlink(path);
    return err;
}

int keys_generate(const char *directory, char *text, size_t text_len)
{
    char replica[4096], mount[4096], content[FILE_BYTES], first[HEX_BYTES + 1], second[HEX_BYTES + 1];
    uint8_t seed[LINK_KEY_BYTES];
    struct link_keys keys;
    if (sodium_init() < 0)
        return fail(ERR_IO, directory, "no random numbers", text, text_len);
    if (snprintf(replica, sizeof replica, "%s/replica.key", directory) >= (int)sizeof replica)
        return fail(ERR_NAME_TOO_LONG, directory, "the path is too long", text, text_len);
    snprintf(mount, sizeof mount, "%s/mount.key", directory);

    randombytes_buf(seed, sizeof seed);
    derive(seed, &keys);
    sodium_bin2hex(first, sizeof first, seed, sizeof seed);
    snprintf(content, sizeof content, "%s\n%s\n", replica_title, first);
    int err = write_file(replica, content, text, text_len);
    if (err != ERR_OK)
        goto out;
    sodium_bin2hex(first, sizeof first, keys.psk, sizeof keys.psk);
    sodium_bin2hex(second, sizeof second, keys.public_key, sizeof keys.public_key);
    snprintf(content, sizeof content, "%s\n%s\n%s\n", mount_title, first, second);
    err = write_file(mount, content, text, text_len);
    if (err != ERR_OK)
        unlink(replica); /* both or neither */
out:
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(&keys, sizeof keys);
    sodium_memzero(content, sizeof content);
    sodium_memzero(first, sizeof first);
    return err;
}

/* --- reading --- */

/* The file's content as a string. */
static int read_file(const char *path, char content[FILE_BYTES], char *text, size_t text_len)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(path, text, text_len);
    struct stat stat;
    int err = ERR_OK;
    ssize_t len = 0;
    if (fstat(fd, &stat) != 0)
        err = fail_errno(path, text, text_len);
    else if (!S_ISREG(stat.st_mode))
        err = fail(ERR_BAD_FORMAT, path, "not a key file", text, text_len);
    else if ((stat.st_mode & 077) != 0)
        err = fail(ERR_ACCESS, path, "others can read this key: chmod 600 it", text, text_len);
    else if ((len = read(fd, content, FILE_BYTES - 1)) < 0)
        err = fail_errno(path, text, text_len);
    close(fd);
    content[len > 0 ? len : 0] = '\0';
    return err;
}

/* Takes the line that `*at` points to, which must be this text. */
static bool take_text(const char **at, const char *line)
{
    const size_t len = strlen(line);
    if (strncmp(*at, line, len) != 0 || (*at)[len] != '\n')
        return false;
    *at += len + 1;
    return true;
}

static bool take_key(const char **at, uint8_t key[LINK_KEY_BYTES])
{
    const char *end;
    size_t len;
    if (strlen(*at) < HEX_BYTES || sodium_hex2bin(key, LINK_KEY_BYTES, *at, HEX_BYTES, NULL, &len, &end) != 0 ||
        len != LINK_KEY_BYTES || *end != '\n')
        return false;
    *at = end + 1;
    return true;
}

static bool parse(const char *content, struct link_keys *keys)
{
    uint8_t seed[LINK_KEY_BYTES];
    const char *at = content;
    if (take_text(&at, replica_title)) {
        const bool whole = take_key(&at, seed) && *at == '\0';
        derive(seed, keys);
        sodium_memzero(seed, sizeof seed);
        return whole;
    }
    *keys = (struct link_keys){.present = true};
    return take_text(&at, mount_title) && take_key(&at, keys->psk) && take_key(&at, keys->public_key) && *at == '\0';
}

int keys_read(const char *path, struct link_keys *keys, char *text, size_t text_len)
{
    char content[FILE_BYTES];
    if (sodium_init() < 0)
        return fail(ERR_IO, path, "no random numbers", text, text_len);
    int err = read_file(path, content, text, text_len);
    if (err == ERR_OK && !parse(content, keys))
        err = fail(ERR_BAD_FORMAT, path, "not a key file of pactfs, or damaged", text, text_len);
    sodium_memzero(content, sizeof content);
    if (err != ERR_OK)
        *keys = (struct link_keys){0};
    return err;
}
