/* The script, as it stands in ROM. */
  .section .rodata
  .global script, script_end
  .balign 8
script:
  .incbin SCRIPT
script_end:
  .byte 0
