# boot_sector.S - the smallest guest: writes one step number after another into every page of a row of pages.
#
# 512 bytes that the BIOS loads at 0x7c00. It goes to 32-bit protected mode, flat and without paging, and then for ever
# counts a step, writes it to the first word of each page in order, and begins again. So at any instant the pages
# hold at most two numbers, step and step - 1, with one seam between them: a capture that shows anything else
# is not of one instant. boot_sector.py sets the page count (at byte 4) and knows FIRST_PAGE.
	.set FIRST_PAGE, 0x200000

	.code16
	.globl start
start:
	jmp	real
	.org	4
pages:	.long	112
real:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	descriptor
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmp	$8, $protected

	.code32
protected:
	movw	$16, %ax
	movw	%ax, %ds
	xorl	%ebx, %ebx
step:
	incl	%ebx
	movl	$FIRST_PAGE, %edi
	movl	pages, %ecx
page:
	movl	%ebx, (%edi)
	addl	$4096, %edi
	decl	%ecx
	jnz	page
	jmp	step

	.balign 8
table:
	.quad	0
	.quad	0x00cf9a000000ffff # code: base 0, 4 GiB
	.quad	0x00cf92000000ffff # data: the same
descriptor:
	.word	. - table - 1
	.long	table

	.org	510
	.word	0xaa55
