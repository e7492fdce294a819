/* poke PID TEXT - changes the first byte of every occurrence of a text in a process's memory: memory that went bad, for
 * the test that members' states are compared. Prints how many there were. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW_BYTES = 1 << 20 };

static unsigned poke_range(int memory, uint64_t from, uint64_t to, const char *text)
{
    size_t text_len = strlen(text);
    char *window = malloc(WINDOW_BYTES);
    unsigned found = 0;
    for (uint64_t at = from; window && at < to; at += WINDOW_BYTES - text_len) {
        ssize_t len = pread(memory, window, to - at < WINDOW_BYTES ? to - at : WINDOW_BYTES, (off_t)at);
        const char *hit = window;
        while (len > 0 && (hit = memmem(hit, (size_t)(window + len - hit), text, text_len)))
            found += pwrite(memory, "!", 1, (off_t)(at + (uint64_t)(hit++ - window))) == 1;
    }
    free(window);
    return found;
}

int main(int argc, char **argv)
{
    char path[64], line[512];
    unsigned found = 0;
    if (argc != 3)
        return 2;
    uint64_t from, to;
    snprintf(path, sizeof path, "/proc/%s/mem", argv[1]);
    int memory = open(path, O_RDWR);
    snprintf(path, sizeof path, "/proc/%s/maps", argv[1]);
    FILE *maps = fopen(path, "re");
    if (memory < 0 || !maps)
        return 1;
    char writable;
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " r%c", &from, &to, &writable) == 3 && writable == 'w')
            found += poke_range(memory, from, to, argv[2]);
    fclose(maps);
    close(memory);
    printf("%u\n", found);
    return found == 0;
}
