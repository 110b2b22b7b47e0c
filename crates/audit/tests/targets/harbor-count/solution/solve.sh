#!/bin/bash
tr ' ' '\n' </app/text.txt | grep . | sort | uniq -c | awk '{print $2, $1}' >/app/counts.txt
