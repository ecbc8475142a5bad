


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %scratch.s1 = alloca [70 x float], align 64
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !8
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !15
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 0, 70
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ 0, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %scratch.s1, i64 %body2.i
  store float 0x0000000000000000, ptr %v6, !llvm.access.group !0
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v7 = icmp slt i64 %body2.next, 70
  br i1 %v7, label %body2, label %leave4, !llvm.loop !2
leave4:
  br label %before8
before8:
  %v12 = icmp slt i64 0, 70
  br i1 %v12, label %body9, label %leave11
body9:
  %body9.i = phi i64 [ 0, %before8 ], [ %body9.next, %latch10 ]
  %v13 = mul nsw i64 0, 280
  %v14 = add nsw i64 %v13, %body9.i
  %v15 = getelementptr inbounds float, ptr %b0, i64 %v14
  %v16 = load float, ptr %v15, !llvm.access.group !5
  %v17 = fmul contract  float %v16, %v16
  %v18 = mul nsw i64 0, 280
  %v19 = add nsw i64 %v18, %body9.i
  %v20 = add nsw i64 %v19, 70
  %v21 = getelementptr inbounds float, ptr %b0, i64 %v20
  %v22 = load float, ptr %v21, !llvm.access.group !5
  %v23 = fmul contract  float %v22, %v22
  %v24 = mul nsw i64 0, 280
  %v25 = add nsw i64 %v24, %body9.i
  %v26 = add nsw i64 %v25, 140
  %v27 = getelementptr inbounds float, ptr %b0, i64 %v26
  %v28 = load float, ptr %v27, !llvm.access.group !5
  %v29 = fmul contract  float %v28, %v28
  %v30 = mul nsw i64 0, 280
  %v31 = add nsw i64 %v30, %body9.i
  %v32 = add nsw i64 %v31, 210
  %v33 = getelementptr inbounds float, ptr %b0, i64 %v32
  %v34 = load float, ptr %v33, !llvm.access.group !5
  %v35 = fmul contract  float %v34, %v34
  %v36 = fadd contract  float %v17, %v23
  %v37 = fadd contract  float %v29, %v35
  %v38 = fadd contract  float %v36, %v37
  %v39 = getelementptr inbounds float, ptr %scratch.s1, i64 %body9.i
  %v40 = load float, ptr %v39, !llvm.access.group !5
  %v41 = fadd contract  float %v40, %v38
  %v42 = getelementptr inbounds float, ptr %scratch.s1, i64 %body9.i
  store float %v41, ptr %v42, !llvm.access.group !5
  br label %latch10
latch10:
  %body9.next = add nsw i64 %body9.i, 1
  %v43 = icmp slt i64 %body9.next, 70
  br i1 %v43, label %body9, label %leave11, !llvm.loop !7
leave11:
  br label %before44
before44:
  %v48 = icmp slt i64 0, 70
  br i1 %v48, label %body45, label %leave47
body45:
  %body45.i = phi i64 [ 0, %before44 ], [ %body45.next, %latch46 ]
  %v49 = add nsw i64 %body45.i, 280
  %v50 = getelementptr inbounds float, ptr %b0, i64 %v49
  %v51 = load float, ptr %v50, !llvm.access.group !9
  %v52 = fmul contract  float %v51, %v51
  %v53 = getelementptr inbounds float, ptr %scratch.s1, i64 %body45.i
  %v54 = load float, ptr %v53, !llvm.access.group !9
  %v55 = fadd contract  float %v54, %v52
  %v56 = getelementptr inbounds float, ptr %scratch.s1, i64 %body45.i
  store float %v55, ptr %v56, !llvm.access.group !9
  br label %latch46
latch46:
  %body45.next = add nsw i64 %body45.i, 1
  %v57 = icmp slt i64 %body45.next, 70
  br i1 %v57, label %body45, label %leave47, !llvm.loop !11
leave47:
  br label %before58
before58:
  %v62 = icmp slt i64 0, 70
  br i1 %v62, label %body59, label %leave61
body59:
  %body59.i = phi i64 [ 0, %before58 ], [ %body59.next, %latch60 ]
  %v63 = getelementptr inbounds float, ptr %scratch.s1, i64 %body59.i
  %v64 = load float, ptr %v63, !llvm.access.group !12
  %v65 = getelementptr inbounds float, ptr %b1, i64 %body59.i
  store float %v64, ptr %v65, !llvm.access.group !12
  br label %latch60
latch60:
  %body59.next = add nsw i64 %body59.i, 1
  %v66 = icmp slt i64 %body59.next, 70
  br i1 %v66, label %body59, label %leave61, !llvm.loop !14
leave61:
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
!3 = !{!"llvm.loop.unroll.disable"}
!4 = distinct !{!4, !3}
!5 = distinct !{}
!6 = !{!"llvm.loop.parallel_accesses", !5}
!7 = distinct !{!7, !6}
!8 = !{}
!9 = distinct !{}
!10 = !{!"llvm.loop.parallel_accesses", !9}
!11 = distinct !{!11, !10}
!12 = distinct !{}
!13 = !{!"llvm.loop.parallel_accesses", !12}
!14 = distinct !{!14, !13}
!15 = !{}

