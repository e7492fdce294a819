/* directory.h - a directory's names as they were at opendir or rewinddir, so that each is listed exactly once
 * whatever changes meanwhile. */
#ifndef PACT_DIRECTORY_H
#define PACT_DIRECTORY_H

struct listing;
void listing_free(struct listing *listing); /* NULL is fine */

#endif
