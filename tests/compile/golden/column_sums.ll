


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %scratch.s1 = alloca [64 x float], align 64
  %scratch.s11 = alloca [6 x float], align 64
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !6
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !10
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  br label %before6
before6:
  %v10 = icmp slt i64 0, 64
  br i1 %v10, label %body7, label %leave9
body7:
  %body7.i = phi i64 [ 0, %before6 ], [ %body7.next, %latch8 ]
  %v11 = getelementptr inbounds float, ptr %scratch.s1, i64 %body7.i
  store float 0x0000000000000000, ptr %v11, !llvm.access.group !0
  br label %latch8
latch8:
  %body7.next = add nsw i64 %body7.i, 1
  %v12 = icmp slt i64 %body7.next, 64
  br i1 %v12, label %body7, label %leave9, !llvm.loop !2
leave9:
  br label %before13
before13:
  %v17 = icmp slt i64 0, 5
  br i1 %v17, label %body14, label %leave16
body14:
  %body14.i = phi i64 [ 0, %before13 ], [ %body14.next, %latch15 ]
  br label %before18
before18:
  %v22 = icmp slt i64 0, 64
  br i1 %v22, label %body19, label %leave21
body19:
  %body19.i = phi i64 [ 0, %before18 ], [ %body19.next, %latch20 ]
  %v23 = mul nsw i64 %body2.i, 64
  %v24 = mul nsw i64 %body14.i, 70
  %v25 = add nsw i64 %v23, %v24
  %v26 = add nsw i64 %v25, %body19.i
  %v27 = getelementptr inbounds float, ptr %b0, i64 %v26
  %v28 = load float, ptr %v27, !llvm.access.group !3
  %v29 = fmul contract  float %v28, %v28
  %v30 = getelementptr inbounds float, ptr %scratch.s1, i64 %body19.i
  %v31 = load float, ptr %v30, !llvm.access.group !3
  %v32 = fadd contract  float %v31, %v29
  %v33 = getelementptr inbounds float, ptr %scratch.s1, i64 %body19.i
  store float %v32, ptr %v33, !llvm.access.group !3
  br label %latch20
latch20:
  %body19.next = add nsw i64 %body19.i, 1
  %v34 = icmp slt i64 %body19.next, 64
  br i1 %v34, label %body19, label %leave21, !llvm.loop !5
leave21:
  br label %latch15
latch15:
  %body14.next = add nsw i64 %body14.i, 1
  %v35 = icmp slt i64 %body14.next, 5
  br i1 %v35, label %body14, label %leave16
leave16:
  br label %before36
before36:
  %v40 = icmp slt i64 0, 64
  br i1 %v40, label %body37, label %leave39
body37:
  %body37.i = phi i64 [ 0, %before36 ], [ %body37.next, %latch38 ]
  %v41 = getelementptr inbounds float, ptr %scratch.s1, i64 %body37.i
  %v42 = load float, ptr %v41, !llvm.access.group !7
  %v43 = mul nsw i64 %body2.i, 64
  %v44 = add nsw i64 %v43, %body37.i
  %v45 = getelementptr inbounds float, ptr %b1, i64 %v44
  store float %v42, ptr %v45, !llvm.access.group !7
  br label %latch38
latch38:
  %body37.next = add nsw i64 %body37.i, 1
  %v46 = icmp slt i64 %body37.next, 64
  br i1 %v46, label %body37, label %leave39, !llvm.loop !9
leave39:
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v47 = icmp slt i64 %body2.next, %end
  br i1 %v47, label %body2, label %leave4
leave4:
  br label %before48
before48:
  %v52 = icmp slt i64 0, 6
  br i1 %v52, label %body49, label %leave51
body49:
  %body49.i = phi i64 [ 0, %before48 ], [ %body49.next, %latch50 ]
  %v53 = getelementptr inbounds float, ptr %scratch.s11, i64 %body49.i
  store float 0x0000000000000000, ptr %v53, !llvm.access.group !11
  br label %latch50
latch50:
  %body49.next = add nsw i64 %body49.i, 1
  %v54 = icmp slt i64 %body49.next, 6
  br i1 %v54, label %body49, label %leave51, !llvm.loop !14
leave51:
  br label %before55
before55:
  %v59 = icmp slt i64 0, 5
  br i1 %v59, label %body56, label %leave58
body56:
  %body56.i = phi i64 [ 0, %before55 ], [ %body56.next, %latch57 ]
  br label %before60
before60:
  %v64 = icmp slt i64 0, 6
  br i1 %v64, label %body61, label %leave63
body61:
  %body61.i = phi i64 [ 0, %before60 ], [ %body61.next, %latch62 ]
  %v65 = mul nsw i64 %body56.i, 70
  %v66 = add nsw i64 %v65, %body61.i
  %v67 = add nsw i64 %v66, 64
  %v68 = getelementptr inbounds float, ptr %b0, i64 %v67
  %v69 = load float, ptr %v68, !llvm.access.group !15
  %v70 = fmul contract  float %v69, %v69
  %v71 = getelementptr inbounds float, ptr %scratch.s11, i64 %body61.i
  %v72 = load float, ptr %v71, !llvm.access.group !15
  %v73 = fadd contract  float %v72, %v70
  %v74 = getelementptr inbounds float, ptr %scratch.s11, i64 %body61.i
  store float %v73, ptr %v74, !llvm.access.group !15
  br label %latch62
latch62:
  %body61.next = add nsw i64 %body61.i, 1
  %v75 = icmp slt i64 %body61.next, 6
  br i1 %v75, label %body61, label %leave63, !llvm.loop !18
leave63:
  br label %latch57
latch57:
  %body56.next = add nsw i64 %body56.i, 1
  %v76 = icmp slt i64 %body56.next, 5
  br i1 %v76, label %body56, label %leave58
leave58:
  br label %before77
before77:
  %v81 = icmp slt i64 0, 6
  br i1 %v81, label %body78, label %leave80
body78:
  %body78.i = phi i64 [ 0, %before77 ], [ %body78.next, %latch79 ]
  %v82 = getelementptr inbounds float, ptr %scratch.s11, i64 %body78.i
  %v83 = load float, ptr %v82, !llvm.access.group !19
  %v84 = add nsw i64 %body78.i, 64
  %v85 = getelementptr inbounds float, ptr %b1, i64 %v84
  store float %v83, ptr %v85, !llvm.access.group !19
  br label %latch79
latch79:
  %body78.next = add nsw i64 %body78.i, 1
  %v86 = icmp slt i64 %body78.next, 6
  br i1 %v86, label %body78, label %leave80, !llvm.loop !22
leave80:
  ret void
}

define internal i32 @part0.3(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  call void @kernel0(ptr %t0, i64 0, i64 1)
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part0.3(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = distinct !{!2, !1}
!3 = distinct !{}
!4 = !{!"llvm.loop.parallel_accesses", !3}
!5 = distinct !{!5, !4}
!6 = !{}
!7 = distinct !{}
!8 = !{!"llvm.loop.parallel_accesses", !7}
!9 = distinct !{!9, !8}
!10 = !{}
!11 = distinct !{}
!12 = !{!"llvm.loop.parallel_accesses", !11}
!13 = !{!"llvm.loop.unroll.disable"}
!14 = distinct !{!14, !12, !13}
!15 = distinct !{}
!16 = !{!"llvm.loop.parallel_accesses", !15}
!17 = !{!"llvm.loop.unroll.disable"}
!18 = distinct !{!18, !16, !17}
!19 = distinct !{}
!20 = !{!"llvm.loop.parallel_accesses", !19}
!21 = !{!"llvm.loop.unroll.disable"}
!22 = distinct !{!22, !20, !21}

